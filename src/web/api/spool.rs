//! Uploads on their way in: [`Spooled`] keeps a file in the work directory while the rest of its form
//! is read, and [`linger`] reads what is left of a request that was refused, so that its sender gets
//! to see the answer instead of a broken connection.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use axum::extract::multipart::Field;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufWriter};

use crate::store::ObjectError;
use crate::web::App;

/// The longest that the rest of a refused upload is read.
const LINGER: Duration = Duration::from_secs(20);
/// The most of it that is read, in bytes.
const LINGER_BYTES: usize = 2 << 30;
/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 1 << 20;

/// An upload kept in a file of the work directory; gone when this is dropped.
pub(super) struct Spooled {
    path: PathBuf,
}

impl Drop for Spooled {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "an upload's file could not be removed");
        }
    }
}

impl Spooled {
    /// Takes in the field's content, `cap` bytes at most.
    ///
    /// # Errors
    /// [`ObjectError`] as of storing an object; nothing is kept then.
    pub async fn take(app: &App, mut field: Field<'_>, cap: u64) -> Result<Self, ObjectError> {
        let folder = app.settings.work_dir.join("spool");
        let path = folder.join(hex::encode(app.entropy.bytes::<12>()));
        let object = "the upload".to_owned();
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                ObjectError::Full { object: "the upload".to_owned() }
            }
            _ => ObjectError::File {
                object: "the upload".to_owned(),
                file: path.display().to_string(),
                source: error,
            },
        };
        tokio::fs::create_dir_all(&folder).await.map_err(failed)?;
        let options = tokio::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).clone();
        let file = options.open(&path).await.map_err(failed)?;
        let spooled = Self { path: path.clone() };
        let mut file = BufWriter::with_capacity(WRITE_BYTES, file);
        let mut size = 0_u64;
        loop {
            let chunk = field.chunk().await;
            let chunk = chunk.map_err(|error| ObjectError::Source {
                object: object.clone(),
                source: io::Error::other(error.body_text()),
            })?;
            let Some(chunk) = chunk else { break };
            size += chunk.len() as u64;
            if size > cap {
                return Err(ObjectError::TooLarge { object, cap });
            }
            file.write_all(&chunk).await.map_err(failed)?;
        }
        file.flush().await.map_err(failed)?;
        Ok(spooled)
    }

    /// The file, to be read from its beginning.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn open(&self) -> Result<tokio::fs::File, ObjectError> {
        tokio::fs::File::open(&self.path).await.map_err(|source| ObjectError::File {
            object: "the upload".to_owned(),
            file: self.path.display().to_string(),
            source,
        })
    }

    /// The whole of it, for what has to be looked at as a whole anyway.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn bytes(&self) -> Result<Vec<u8>, ObjectError> {
        let mut bytes = Vec::new();
        let read = self.open().await?.read_to_end(&mut bytes).await;
        read.map(|_| bytes).map_err(|source| ObjectError::File {
            object: "the upload".to_owned(),
            file: self.path.display().to_string(),
            source,
        })
    }
}

/// A request's body that can be read on after the handler has let go of it.
#[derive(Clone)]
struct Shared(Arc<Mutex<BodyDataStream>>);

impl Stream for Shared {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).poll_next_unpin(context)
    }
}

/// Reads the rest of an upload that was refused, within bounds: a sender whose connection is closed
/// in the middle of its upload never reads why.
pub(super) async fn linger(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let shared = Shared(Arc::new(Mutex::new(body.into_data_stream())));
    let body = Body::from_stream(shared.clone());
    let response = next.run(Request::from_parts(parts, body)).await;
    if response.status().is_client_error() || response.status().is_server_error() {
        let drained = tokio::time::timeout(LINGER, drain(shared)).await;
        tracing::debug!(within_bounds = drained.is_ok(), "the rest of a refused upload was read");
    }
    response
}

async fn drain(mut body: Shared) {
    let mut read = 0;
    while let Some(Ok(chunk)) = body.next().await {
        read += chunk.len();
        if read > LINGER_BYTES {
            return;
        }
    }
}
