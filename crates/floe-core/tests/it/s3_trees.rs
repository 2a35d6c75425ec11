//! Trees in S3: a server in this process, and real ones where `.ci/run s3` starts them.

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
use floe_testkit::s3::environment;

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

    /// On the server that `FLOE_TEST_S3_ENDPOINT` names, with `FLOE_TEST_S3_BUCKET` and AWS's variables for the keys.
    pub(crate) fn of_environment() -> Self {
        let variable = |name: &str| env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
        let (endpoint, bucket) = (variable("FLOE_TEST_S3_ENDPOINT"), variable("FLOE_TEST_S3_BUCKET"));
        let environment =
            environment(&endpoint, &variable("AWS_ACCESS_KEY_ID"), &variable("AWS_SECRET_ACCESS_KEY"));
        let location = format!("s3://{bucket}/test-{:016x}", u64::from_be_bytes(Ambient::default().random()));
        Self { location, environment, _server: None }
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
