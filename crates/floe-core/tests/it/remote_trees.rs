//! Trees in remote stores: an S3 in this process, and servers of each kind where `.ci/run stores` starts them.

mod conditions;
mod lost_answers;
mod races;
mod requests;
mod workflow;

use std::env;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use floe_core::store::{Environment, Store, StoreSettings, open};
use floe_core::{Ambient, Namespace, NamespaceName, PushOptions, PushSource, Pushed, RefName, Result, push};
use floe_testkit::S3Server;
use floe_testkit::conformance::KnownGap;

use crate::push::{text, write};

/// A prefix of a bucket that nobody else uses.
pub(crate) struct Place {
    location: String,
    environment: Environment,
    _server: Option<S3Server>,
}

impl Place {
    /// On a server in this process.
    async fn in_process() -> Self {
        let server = S3Server::start().await.unwrap();
        let environment = server.environment();
        Self { location: format!("s3://{}/trees", S3Server::BUCKET), environment, _server: Some(server) }
    }

    /// In the bucket that `FLOE_TEST_STORE` names, with what else the environment says of the cloud.
    pub(crate) fn of_environment() -> Self {
        let bucket = env::var("FLOE_TEST_STORE").expect("FLOE_TEST_STORE names a bucket");
        let location = format!("{bucket}/test-{:016x}", u64::from_be_bytes(Ambient::default().random()));
        Self { location, environment: env::vars().collect(), _server: None }
    }

    /// What the servers of its kind are known to get wrong.
    pub(crate) fn known_gaps(&self) -> &'static [KnownGap] {
        match self.location.split("://").next() {
            // One of them keeps objects in files.
            Some("s3") => &[KnownGap::LongNames],
            // The first is Azure's own way, the second Azurite's.
            Some("az") => &[KnownGap::Uploads, KnownGap::RangesAtTheEnd],
            _ => &[],
        }
    }

    pub(crate) fn store(&self) -> Arc<dyn Store> {
        open(&self.location, &StoreSettings::default(), &self.environment, &Ambient::default()).unwrap()
    }
}

async fn namespace(store: Arc<dyn Store>) -> Namespace {
    Namespace::open_or_create(store, NamespaceName::default(), Ambient::default()).await.unwrap()
}

fn name(name: &str) -> RefName {
    name.parse().unwrap()
}

async fn push_to(
    namespace: &Namespace,
    source: &Path,
    target: &str,
    cache_dir: Option<&Path>,
) -> Result<Pushed> {
    let options =
        PushOptions { cache_dir: cache_dir.map(Path::to_owned), workers: 2, ..PushOptions::default() };
    let source = PushSource::Directory(source.to_owned());
    push(namespace, source, &name(target), &options, &Arc::default()).await
}

/// Small files, so many in each of so many directories.
fn small_files(root: &Path, directories: u64, files: u64, bytes: usize) {
    for directory in 0..directories {
        let path = root.join(format!("directory-{directory:03}"));
        fs::create_dir_all(&path).unwrap();
        for file in 0..files {
            write(&path.join(format!("file-{file:03}")), &text(directory * files + file, bytes));
        }
    }
}
