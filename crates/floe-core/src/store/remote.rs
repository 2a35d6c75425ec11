//! Stores in S3, Google Cloud Storage and Azure Blob Storage.
//!
//! Each method is one request of the `object_store` crate, whose own repeating is switched off: that is
//! [`Retry`](super::Retry)'s. Conditions ride on single puts only, never on the completion of parts, which several
//! servers get wrong.
//!
//! *What a crash leaves.* Parts of uploads that were never finished, invisible, for the bucket's lifecycle rule. Azure has
//! no uploads, only parts of an object; those that no object is made of it drops after a week, and nothing else does.

mod cloud;
mod connection_string;
mod error;
mod profile;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutPayload, PutResult, UpdateVersion};
use url::Url;

use super::{
    Cursor, Entry, Environment, Key, KeyPrefix, Page, Part, PartTag, PartsId, PutMode, Store, Version,
    range_length, too_short,
};
use crate::{Error, ErrorKind, Result};

/// The longest prefix of a bucket that keys have room after.
const MAX_PREFIX_BYTES: usize = 300;

/// A prefix of a bucket.
#[derive(Clone)]
pub struct RemoteStore {
    bucket: Arc<dyn Bucket>,
    /// Empty, or ends in `/`.
    prefix: String,
    name: String,
    versions: Versions,
    /// Whether a listing leaves out the object that is called like its prefix.
    omits_prefix: bool,
    /// What to say besides when there is no answer.
    hint: Option<&'static str>,
    /// How long nothing may come of an object that is being read.
    patience: Duration,
}

/// What tells the server and the bucket of a location from all others; holds no secret.
pub(super) fn server(url: &Url, environment: &Environment) -> Result<String> {
    let bucket = url.host_str().unwrap_or_default();
    let endpoint = cloud::endpoint(url.scheme(), environment)?;
    Ok(format!(
        "{}://{bucket} at {}",
        url.scheme(),
        endpoint.as_deref().unwrap_or("the cloud's own endpoint")
    ))
}

pub(super) use self::cloud::{shown_azure_endpoint, shown_google_endpoint, shown_s3_endpoint};

/// What stands for the content of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Versions {
    ETag,
    Generation,
}

/// All that we use of a client of the library.
trait Bucket: ObjectStore + MultipartStore + PaginatedListStore {}
impl<T: ObjectStore + MultipartStore + PaginatedListStore> Bucket for T {}

impl fmt::Debug for RemoteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Clients hold credentials, so only the name is shown.
        f.debug_tuple("RemoteStore").field(&self.name).finish()
    }
}

impl RemoteStore {
    /// The store at `s3://`, `gs://` or `az://` and `BUCKET/PREFIX`, with what the environment says. Where nothing comes
    /// for as long as the patience lasts, an object is not read to its end.
    ///
    /// # Errors
    /// `Invalid` for a location or an environment that makes no sense.
    pub fn open(url: &Url, environment: &Environment, patience: Duration) -> Result<Self> {
        let invalid = |what: &str| Error::new(ErrorKind::Invalid, format!("the store `{url}` {what}"));
        let bucket_name = url.host_str().filter(|host| !host.is_empty());
        let bucket_name = bucket_name.ok_or_else(|| invalid("names no bucket"))?;
        let prefix = url.path().trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        if KeyPrefix::new(prefix.as_str()).is_err() || prefix.len() > MAX_PREFIX_BYTES {
            return Err(invalid("has a prefix that keys cannot have"));
        }
        let name = format!("{}://{bucket_name}/{prefix}", url.scheme());
        let (bucket, versions, hint) = match url.scheme() {
            "s3" => cloud::s3(bucket_name, environment)?,
            "gs" => cloud::google(bucket_name, environment)?,
            "az" => cloud::azure(bucket_name, environment)?,
            _ => return Err(invalid("is in no cloud that is known")),
        };
        // Azure's client takes it for a directory.
        let omits_prefix = url.scheme() == "az";
        Ok(Self { bucket, prefix, name, versions, omits_prefix, hint, patience })
    }

    fn path(&self, key: &Key) -> Result<Path> {
        Path::parse(format!("{}{key}", self.prefix)).map_err(|e| {
            Error::new(ErrorKind::Invalid, format!("`{key}` cannot be a key in {}", self.name)).with_source(e)
        })
    }

    fn version(&self, key: &Key, e_tag: Option<String>, generation: Option<String>) -> Result<Version> {
        let token = match self.versions {
            Versions::ETag => e_tag,
            Versions::Generation => generation,
        };
        let token = token.filter(|token| !token.is_empty()).ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, format!("{} gives `{key}` no version to compare", self.name))
        })?;
        Ok(Version::new(token))
    }

    fn failed(&self, what: impl fmt::Display, e: &object_store::Error) -> Error {
        error::convert(&self.name, &what.to_string(), e, self.hint)
    }

    /// Waits for the next that comes of an object.
    async fn in_time<T>(&self, key: &Key, next: impl Future<Output = T>) -> Result<T> {
        tokio::time::timeout(self.patience, next).await.map_err(|_| {
            let message = format!("{}: nothing came of `{key}` for {:?}", self.name, self.patience);
            Error::new(ErrorKind::Unavailable, message)
        })
    }

    /// Reads a body of which we know the length.
    async fn collect(&self, key: &Key, answer: object_store::GetResult, length: usize) -> Result<Bytes> {
        let mut stream = answer.into_stream();
        let mut first = Bytes::new();
        let mut body = BytesMut::new();
        let lied = |than: &str| {
            let message = format!("{}: the server sent {than} of `{key}` than it announced", self.name);
            Error::new(ErrorKind::Unavailable, message)
        };
        while let Some(piece) = self.in_time(key, stream.next()).await? {
            let piece = piece.map_err(|e| self.failed(key, &e))?;
            if first.len() + body.len() + piece.len() > length {
                return Err(lied("more"));
            }
            if first.is_empty() && body.is_empty() {
                first = piece;
                continue;
            }
            if body.is_empty() {
                body.reserve(length);
                body.extend_from_slice(&std::mem::take(&mut first));
            }
            body.extend_from_slice(&piece);
        }
        let body = if body.is_empty() { first } else { body.freeze() };
        if body.len() == length { Ok(body) } else { Err(lied("less")) }
    }
}

#[async_trait]
impl Store for RemoteStore {
    async fn put(&self, key: &Key, body: Bytes, mode: PutMode) -> Result<Version> {
        let mode = match mode {
            PutMode::Create => object_store::PutMode::Create,
            PutMode::Overwrite => object_store::PutMode::Overwrite,
            PutMode::Swap(Version(token)) => object_store::PutMode::Update(match self.versions {
                Versions::ETag => UpdateVersion { e_tag: Some(token), version: None },
                Versions::Generation => UpdateVersion { e_tag: None, version: Some(token) },
            }),
        };
        let put = self.bucket.put_opts(&self.path(key)?, PutPayload::from_bytes(body), mode.into()).await;
        let PutResult { e_tag, version, .. } = put.map_err(|e| self.failed(key, &e))?;
        self.version(key, e_tag, version)
    }

    async fn get(&self, key: &Key, max_bytes: u64) -> Result<(Bytes, Version)> {
        let path = self.path(key)?;
        let got = self.in_time(key, self.bucket.get_opts(&path, GetOptions::default())).await?;
        let got = got.map_err(|e| self.failed(key, &e))?;
        let size_bytes = got.meta.size;
        let length =
            usize::try_from(size_bytes).ok().filter(|_| size_bytes <= max_bytes).ok_or_else(|| {
                let message =
                    format!("`{key}` has {size_bytes} bytes, more than the {max_bytes} it may have");
                Error::new(ErrorKind::Corrupt, message)
            })?;
        let version = self.version(key, got.meta.e_tag.clone(), got.meta.version.clone())?;
        Ok((self.collect(key, got, length).await?, version))
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes> {
        let Some(length) = range_length(key, &range)? else {
            return Ok(Bytes::new());
        };
        let options = GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
        let path = self.path(key)?;
        let got = match self.in_time(key, self.bucket.get_opts(&path, options)).await? {
            // The object ends before the range begins.
            Err(e) if error::status(&e) == Some(416) => return Err(too_short(key, &range)),
            other => other.map_err(|e| self.failed(key, &e))?,
        };
        if got.range != range {
            return Err(too_short(key, &range));
        }
        self.collect(key, got, length).await
    }

    async fn head(&self, key: &Key) -> Result<Option<u64>> {
        match self.bucket.head(&self.path(key)?).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(e) => match self.failed(key, &e) {
                e if e.kind() == ErrorKind::NotFound => Ok(None),
                e => Err(e),
            },
        }
    }

    async fn list(&self, prefix: &KeyPrefix, after: Option<&Cursor>) -> Result<Page> {
        let whole = format!("{}{prefix}", self.prefix);
        let mut asked = whole.clone();
        if self.omits_prefix && !asked.ends_with('/') {
            asked.pop();
        }
        let options = PaginatedListOptions {
            page_token: after.map(|cursor| cursor.as_str().to_owned()),
            ..PaginatedListOptions::default()
        };
        let asked = Some(asked.as_str()).filter(|asked| !asked.is_empty());
        let listed = self.bucket.list_paginated(asked, options).await;
        let listed = listed.map_err(|e| self.failed(format_args!("{prefix}*"), &e))?;
        let entries = listed.result.objects.into_iter().filter_map(|object| {
            if !object.location.as_ref().starts_with(&whole) {
                return None;
            }
            // What no key is called is a stranger's.
            let key = Key::new(object.location.as_ref().strip_prefix(&self.prefix)?).ok()?;
            Some(Entry { key, size_bytes: object.size, modified: SystemTime::from(object.last_modified) })
        });
        Ok(Page { entries: entries.collect(), next: listed.page_token.map(Cursor::new) })
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let deleted = self.bucket.delete(&self.path(key)?).await;
        found_or_not(deleted.map_err(|e| self.failed(key, &e)))
    }

    async fn start_parts(&self, key: &Key) -> Result<PartsId> {
        let begun = self.bucket.create_multipart(&self.path(key)?).await;
        Ok(PartsId::new(begun.map_err(|e| self.failed(key, &e))?))
    }

    async fn put_part(&self, key: &Key, id: &PartsId, part: Part, body: Bytes) -> Result<PartTag> {
        let (path, id) = (self.path(key)?, id.as_str().to_owned());
        let put = self.bucket.put_part(&path, &id, part.index as usize, PutPayload::from_bytes(body)).await;
        Ok(PartTag::new(put.map_err(|e| self.failed(key, &e))?.content_id))
    }

    async fn finish_parts(&self, key: &Key, id: &PartsId, tags: Vec<PartTag>) -> Result<()> {
        let (path, id) = (self.path(key)?, id.as_str().to_owned());
        let parts = tags.into_iter().map(|PartTag(content_id)| PartId { content_id }).collect();
        self.bucket.complete_multipart(&path, &id, parts).await.map_err(|e| self.failed(key, &e))?;
        Ok(())
    }

    async fn abort_parts(&self, key: &Key, id: &PartsId) -> Result<()> {
        let aborted = self.bucket.abort_multipart(&self.path(key)?, &id.as_str().to_owned()).await;
        found_or_not(aborted.map_err(|e| self.failed(key, &e)))
    }
}

/// What was to go and is not there is gone.
fn found_or_not(removed: Result<()>) -> Result<()> {
    match removed {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
