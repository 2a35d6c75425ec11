//! Requests that a server refuses, or lets wait, before it does them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures::future::BoxFuture;
use s3s::access::{S3Access, S3AccessContext};
use s3s::dto::PutObjectInput;
use s3s::path::S3Path;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Result, s3_error};

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
pub struct Gate {
    decide: Box<dyn Fn(Asked) -> BoxFuture<'static, Verdict> + Send + Sync>,
    ignores_conditions: Arc<AtomicBool>,
}

impl Gate {
    /// A gate that asks `decide`.
    pub fn new(decide: impl Fn(Asked) -> BoxFuture<'static, Verdict> + Send + Sync + 'static) -> Self {
        Self { decide: Box::new(decide), ignores_conditions: Arc::default() }
    }

    /// A gate that lets everything pass, and from every put takes its conditions while this is set.
    pub fn ignoring_conditions(while_set: Arc<AtomicBool>) -> Self {
        Self { ignores_conditions: while_set, ..Self::at_once(|_| None) }
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
        let decided = (self.decide)(asked);
        match decided.await {
            None => Ok(()),
            Some(code) => {
                let code = S3ErrorCode::from_bytes(code.as_bytes()).expect("a code of S3's");
                Err(S3Error::new(code))
            }
        }
    }

    async fn put_object(&self, request: &mut S3Request<PutObjectInput>) -> S3Result<()> {
        if self.ignores_conditions.load(Ordering::SeqCst) {
            request.input.if_none_match = None;
            request.input.if_match = None;
        }
        Ok(())
    }
}
