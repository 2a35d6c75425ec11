//! Requests that a server refuses, or lets wait, before it does them.

use std::fmt;

use async_trait::async_trait;
use futures::future::BoxFuture;
use s3s::access::{S3Access, S3AccessContext};
use s3s::path::S3Path;
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

/// A request, as a gate sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The operation, by its name in S3's reference: `PutObject`.
    pub operation: String,
    /// The key, empty where the request is for the bucket.
    pub key: String,
}

/// What becomes of a request: the code of the error it is answered with, `None` to go on.
type Verdict = Option<&'static str>;

/// Decides of every request whose signature was right; it may take its time.
pub struct Gate(Box<dyn Fn(Asked) -> BoxFuture<'static, Verdict> + Send + Sync>);

impl Gate {
    /// A gate that asks `decide`.
    pub fn new(decide: impl Fn(Asked) -> BoxFuture<'static, Verdict> + Send + Sync + 'static) -> Self {
        Self(Box::new(decide))
    }

    /// A gate that decides at once.
    pub fn at_once(decide: impl Fn(&Asked) -> Verdict + Send + Sync + 'static) -> Self {
        Self::new(move |asked| {
            let verdict = decide(&asked);
            Box::pin(async move { verdict })
        })
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

#[async_trait]
impl S3Access for Gate {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        if cx.credentials().is_none() {
            return Err(s3_error!(AccessDenied, "Signature is required"));
        }
        let key = match cx.s3_path() {
            S3Path::Object { key, .. } => key.to_string(),
            _ => String::new(),
        };
        let asked = Asked { operation: cx.s3_op().name().to_owned(), key };
        // Made before it is awaited: what is borrowed of the request may not be kept across.
        let decided = (self.0)(asked);
        match decided.await {
            None => Ok(()),
            Some(code) => {
                let code = S3ErrorCode::from_bytes(code.as_bytes()).expect("a code of S3's");
                Err(S3Error::new(code))
            }
        }
    }
}
