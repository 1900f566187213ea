//! A form with one file at its end, read as it comes: its fields first, then the file as a stream.

use std::collections::BTreeMap;
use std::io;

use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::http::StatusCode;
use bytes::Bytes;
use futures_util::stream;
use tokio::io::AsyncRead;
use tokio::sync::{mpsc, oneshot};
use tokio_util::io::StreamReader;

use crate::web::error::{Explain, PageError};
use crate::web::words::Args;

/// The largest field that is no file, in bytes.
const FIELD_BYTES: usize = 64 << 10;
/// Fields before the file.
const FIELDS: usize = 200;
/// What is still read of a refused upload, so that the browser gets to see the answer, in bytes.
const DRAINED: usize = 2 << 30;

/// What is wrong with an upload as such.
#[derive(Debug, thiserror::Error)]
pub(in crate::web::pages) enum UploadError {
    /// The form is not as announced, or breaks off.
    #[error("the upload cannot be read: {0}")]
    Broken(#[from] MultipartError),
    /// A field is too long, or there are too many.
    #[error("a field before the file is too long, or there are too many of them")]
    Fields,
    /// There is no file.
    #[error("the form holds no file")]
    NoFile,
    /// Something came after the file.
    #[error("a field came after the file; the file has to be the last part of the form")]
    NotLast,
}

impl Explain for UploadError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Fields => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoFile => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Broken(_) | Self::NotLast => StatusCode::BAD_REQUEST,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Broken(_) => "upload-broken",
            Self::Fields => "upload-fields",
            Self::NoFile => "upload-no-file",
            Self::NotLast => "upload-not-last",
        }
    }

    fn args(&self) -> Args {
        Args::new()
    }
}

/// The fields before the file.
pub(in crate::web::pages) type Fields = BTreeMap<String, String>;

/// The name the browser gave the file, without the folders that some send along.
fn file_name(field: &Field<'_>) -> String {
    let name = field.file_name().unwrap_or("");
    name.rsplit(['/', '\\']).next().unwrap_or("").to_owned()
}

/// What stands before the file: the fields, and the file's name.
type Begun = (Fields, String);

/// Reads the fields up to the file named `file`, and hands the file's stream to `take` with the fields
/// and its name. The stream ends in an error when anything follows the file, so that whoever stores
/// it keeps nothing. Whatever `take` leaves unread is read and thrown away.
pub(in crate::web::pages) async fn receive<T, E, F>(
    multipart: &mut Multipart,
    take: impl FnOnce(Fields, String, Box<dyn AsyncRead + Send + Unpin>) -> F,
) -> Result<T, PageError>
where
    F: Future<Output = Result<T, E>>,
    PageError: From<E>,
{
    let (begin, begun) = oneshot::channel::<Begun>();
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(8);
    let taking = async {
        let Ok((fields, name)) = begun.await else { return Ok(None) };
        let chunks = stream::unfold(receiver, |mut receiver| async move {
            let chunk = receiver.recv().await?;
            Some((chunk, receiver))
        });
        let reader = Box::new(StreamReader::new(Box::pin(chunks)));
        take(fields, name, reader).await.map(Some)
    };
    let (fed, taken) = tokio::join!(feed(multipart, begin, sender), taking);
    // when the upload itself was wrong, the stream ended in an error and nothing was taken: say what
    // was wrong with it, not what became of it
    fed?;
    taken?.ok_or_else(|| UploadError::NoFile.into())
}

/// Reads the form. The file's end is told only once it is known that nothing follows.
async fn feed(
    multipart: &mut Multipart,
    begin: oneshot::Sender<Begun>,
    sender: mpsc::Sender<io::Result<Bytes>>,
) -> Result<(), UploadError> {
    let mut fields = Fields::new();
    loop {
        let Some(mut field) = multipart.next_field().await? else { return Err(UploadError::NoFile) };
        if field.name() == Some("file") {
            if begin.send((fields, file_name(&field))).is_err() {
                return Ok(());
            }
            let complete = pass_on(&mut field, &sender).await?;
            drop(field);
            if complete && multipart.next_field().await?.is_some() {
                let _ = sender.send(Err(io::Error::other("something follows the file"))).await;
                return Err(UploadError::NotLast);
            }
            return Ok(());
        }
        let name = field.name().unwrap_or("").to_owned();
        let mut bytes = Vec::new();
        while let Some(chunk) = field.chunk().await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > FIELD_BYTES {
                return Err(UploadError::Fields);
            }
        }
        if fields.len() >= FIELDS {
            return Err(UploadError::Fields);
        }
        fields.insert(name, String::from_utf8_lossy(&bytes).into_owned());
    }
}

/// Passes the file on to its end; false when the other side took no more. Then it is still read, so
/// that the browser is not cut off before it reads the answer.
async fn pass_on(
    field: &mut Field<'_>,
    sender: &mpsc::Sender<io::Result<Bytes>>,
) -> Result<bool, UploadError> {
    let (mut read, mut wanted) = (0, true);
    loop {
        match field.chunk().await {
            Ok(Some(chunk)) => {
                read += chunk.len();
                wanted = wanted && sender.send(Ok(chunk)).await.is_ok();
                if !wanted && read > DRAINED {
                    return Ok(false);
                }
            }
            Ok(None) => return Ok(wanted),
            Err(error) => {
                let _ = sender.send(Err(io::Error::other(error.to_string()))).await;
                return Err(error.into());
            }
        }
    }
}
