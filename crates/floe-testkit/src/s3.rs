//! Servers on the loopback interface: an S3 in this process, and one that answers as told.

mod gate;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use floe_core::store::Environment;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

pub use gate::{Asked, Gate};

/// An S3 server in this process, with one empty bucket; it checks signatures. It ends when dropped.
///
/// Its conditional writes hold one at a time, not in races.
#[derive(Debug)]
pub struct S3Server {
    endpoint: String,
    task: JoinHandle<()>,
    _dir: TempDir,
}

impl S3Server {
    /// The bucket that there is.
    pub const BUCKET: &str = "floe";
    /// The key that may do everything.
    pub const ACCESS_KEY: &str = "TESTACCESSKEY";
    /// Its secret.
    pub const SECRET_KEY: &str = "test-secret-key";

    /// Starts one on a free port.
    ///
    /// # Errors
    /// Where no directory can be made or no port be had.
    pub async fn start() -> io::Result<Self> {
        Self::start_behind(Gate::at_once(|_| None)).await
    }

    /// Starts one on a free port that does only what a gate lets pass.
    ///
    /// # Errors
    /// As [`S3Server::start`].
    pub async fn start_behind(gate: Gate) -> io::Result<Self> {
        let dir = tempfile::tempdir()?;
        std::fs::create_dir(dir.path().join(Self::BUCKET))?;
        let files = s3s_fs::FileSystem::new(dir.path()).map_err(|e| io::Error::other(format!("{e:?}")))?;
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(Self::ACCESS_KEY, Self::SECRET_KEY));
        service.set_access(gate);
        let service = service.build();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let task = tokio::spawn(async move {
            // Dropped with the task, and all connections with it.
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                connections.spawn(async move {
                    let server = Builder::new(TokioExecutor::new());
                    // A client that goes away is no matter.
                    let _ = server.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Ok(Self { endpoint, task, _dir: dir })
    }

    /// Where it listens.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The environment with which `s3://floe/…` is here.
    pub fn environment(&self) -> Environment {
        environment(&self.endpoint, Self::ACCESS_KEY, Self::SECRET_KEY)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The environment for an S3 server over plain HTTP.
pub fn environment(endpoint: &str, access_key: &str, secret_key: &str) -> Environment {
    [
        ("FLOE_S3_ENDPOINT", endpoint),
        ("FLOE_S3_ALLOW_HTTP", "1"),
        ("AWS_ACCESS_KEY_ID", access_key),
        ("AWS_SECRET_ACCESS_KEY", secret_key),
        ("AWS_REGION", "us-east-1"),
    ]
    .into_iter()
    .collect()
}

/// A server that gives the same answer to every request and keeps what it was asked. It ends when dropped.
#[derive(Debug)]
pub struct CannedServer {
    endpoint: String,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl CannedServer {
    /// Starts one that answers with this status line's end (`503 Slow Down`), header lines and body.
    ///
    /// # Errors
    /// Where no port can be had.
    pub async fn start(status: &str, headers: &[&str], body: &str) -> io::Result<Self> {
        let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let answer = format!(
            "HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut request = Vec::new();
                let mut piece = [0; 4096];
                while !request.windows(4).any(|four| four == b"\r\n\r\n") {
                    match socket.read(&mut piece).await {
                        Ok(read) if read > 0 => request.extend_from_slice(&piece[..read]),
                        _ => break,
                    }
                }
                log.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(String::from_utf8_lossy(&request).into());
                let _ = socket.write_all(answer.as_bytes()).await;
                let _ = socket.shutdown().await;
            }
        });
        Ok(Self { endpoint, asked, task })
    }

    /// Where it listens.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The heads of all requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for CannedServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
