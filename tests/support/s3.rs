//! An S3 server over real HTTP on a loopback port, keeping its objects in a temporary directory.

use std::path::{Path, PathBuf};

use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use shuyu::store::S3Settings;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const BUCKET: &str = "shuyu";

/// A server with one empty bucket; it stops when dropped.
pub struct S3Server {
    root: tempfile::TempDir,
    port: u16,
    task: JoinHandle<()>,
}

impl S3Server {
    /// Starts the server on a free port.
    pub async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join(BUCKET)).unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single("id", "secret"));
        let service = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let connection = hyper::server::conn::http1::Builder::new();
                    // A client that hangs up is no fault of the server.
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { root, port, task }
    }

    /// How to reach it.
    pub fn settings(&self) -> S3Settings {
        S3Settings {
            endpoint: format!("http://127.0.0.1:{}", self.port),
            bucket: BUCKET.to_owned(),
            region: "us-east-1".to_owned(),
            access_key: "id".to_owned(),
            secret_key: "secret".to_owned(),
            allow_http: true,
            path_style: true,
        }
    }

    /// The directory that holds the server's own files, unfinished uploads among them.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The directory that holds the bucket's objects, each in a file of its key's name.
    pub fn bucket(&self) -> PathBuf {
        self.root.path().join(BUCKET)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}
