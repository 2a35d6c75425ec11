//! Locations of stores, as people write them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use url::Url;

use super::remote::{self, RemoteStore};
use super::{Conditions, Environment, Limit, LocalStore, Retry, Store, StoreSettings, SystemTimer, Timer};
use crate::{Ambient, Error, ErrorKind, Result};

/// Opens the store at `file://PATH`, at a plain path, or at `s3://`, `gs://` or `az://` and `BUCKET/PREFIX`.
///
/// Nothing is asked of the store yet. Remote stores are repeated and limited as the settings say, local ones limited.
///
/// # Errors
/// `Invalid` for a location that cannot be; `Unsupported` for a kind of store that there is not.
pub fn open(
    location: &str,
    settings: &StoreSettings,
    environment: &Environment,
    ambient: &Ambient,
) -> Result<Arc<dyn Store>> {
    let timer: Arc<dyn Timer> = Arc::new(SystemTimer::default());
    let store: Arc<dyn Store> = match location.split_once("://") {
        None => {
            check_plain(location)?;
            Arc::new(local(location, ambient)?)
        }
        Some(("file", _)) => Arc::new(local(file_path(location)?, ambient)?),
        Some(("s3" | "gs" | "az", _)) => {
            let remote = RemoteStore::open(&parse(location)?, environment, settings.retry.deadline)?;
            Arc::new(Retry::new(Arc::new(remote), settings.retry.clone(), Arc::clone(&timer)))
        }
        Some((scheme, _)) => {
            let message = format!("unknown store scheme `{scheme}://`; there are file, s3, gs and az");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
    };
    let (upload, download) = (settings.upload_bytes_per_second, settings.download_bytes_per_second);
    Ok(Arc::new(Limit::new(store, settings.max_requests, upload, download, timer)))
}

fn local(path: impl AsRef<Path>, ambient: &Ambient) -> Result<LocalStore> {
    let path = path.as_ref();
    if path.metadata().is_ok_and(|found| !found.is_dir()) {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!("the store {} is not a directory", path.display()),
        ));
    }
    LocalStore::with_ambient(path, ambient.clone())
}

/// Refuses what is no path, though it could be one.
fn check_plain(location: &str) -> Result<()> {
    let invalid = |message: String| Err(Error::new(ErrorKind::Invalid, message));
    if location.is_empty() {
        return invalid("the store's location is empty".into());
    }
    if location == "~" || location.starts_with("~/") {
        return invalid(format!("`{location}`: `~` is not expanded here; write the whole path"));
    }
    match location.split_once(':') {
        Some((scheme @ ("file" | "s3" | "gs" | "az"), _)) => invalid(format!(
            "`{location}` lacks the slashes of `{scheme}://`; a directory of that name is `./{location}`"
        )),
        _ => Ok(()),
    }
}

/// What is known of the conditions of the store at a location, remembered below `cache_dir`.
///
/// A local store's are our own and kept. Elsewhere a writer finds out, once for each server and bucket.
///
/// # Errors
/// As [`open`].
pub fn conditions_of(location: &str, environment: &Environment, cache_dir: &Path) -> Result<Conditions> {
    match location.split_once("://") {
        None | Some(("file", _)) => Ok(Conditions::kept()),
        Some(_) => Ok(Conditions::remembered(cache_dir, &remote::server(&parse(location)?, environment)?)),
    }
}

/// The directory of a store at a location, where that is one on this machine.
///
/// # Errors
/// As [`open`].
pub fn local_directory(location: &str) -> Result<Option<PathBuf>> {
    match location.split_once("://") {
        None => Ok(Some(location.into())),
        Some(("file", _)) => file_path(location).map(Some),
        Some(_) => Ok(None),
    }
}

/// Where requests to a cloud go instead of its own servers, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownEndpoint {
    /// `s3`, `gcs` or `azure`.
    pub cloud: &'static str,
    /// The endpoint without any secret; none where nobody says one.
    pub url: Option<String>,
    /// The variable that says so; with an endpoint, none where it is the AWS profile.
    pub variable: Option<&'static str>,
}

/// The endpoints that the environment says, of each cloud.
pub fn shown_endpoints(environment: &Environment) -> [ShownEndpoint; 3] {
    let shown = |cloud, named: Option<(String, Option<&'static str>)>| {
        let (url, variable) = named.unzip();
        ShownEndpoint { cloud, url, variable: variable.flatten() }
    };
    let known = |(url, variable)| (url, Some(variable));
    [
        shown("s3", remote::shown_s3_endpoint(environment)),
        shown("gcs", remote::shown_google_endpoint(environment).map(known)),
        shown("azure", remote::shown_azure_endpoint(environment).map(known)),
    ]
}

fn parse(location: &str) -> Result<Url> {
    let url = Url::parse(location)
        .map_err(|e| Error::new(ErrorKind::Invalid, "the store's location is not a URL").with_source(e))?;
    if !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        let message = "a store's location holds no user, password, query or fragment";
        return Err(Error::new(ErrorKind::Invalid, message));
    }
    Ok(url)
}

fn file_path(location: &str) -> Result<PathBuf> {
    let invalid =
        || Error::new(ErrorKind::Invalid, format!("`{location}` is not file:// and an absolute path"));
    parse(location)?.to_file_path().map_err(|()| invalid())
}
