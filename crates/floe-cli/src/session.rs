//! What a command works with: the settings, the store opened from them, the way things are shown.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use floe_core::source::{OwnDirectory, Purpose};
use floe_core::store::{self, Conditions, StoreSettings, SystemTimer, Timer as _};
use floe_core::{Ambient, Error, ErrorKind, Namespace, Reference, Resolved, Snapshot, SnapshotAt};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::counting::{CountingStore, Traffic, TrafficReport};
use crate::failure::{Code, Failure};
use crate::interrupt::{Heeding, Interrupts};
use crate::output::{Output, printable};
use crate::pace::Pace;
use crate::progress::{Moment, Progress};
use crate::quantities::ByteCount;
use crate::settings::{self, Settings};

/// One run of one command.
#[derive(Debug)]
pub(crate) struct Session {
    settings: Settings,
    output: Output,
    interrupts: Interrupts,
    ambient: Ambient,
    traffic: Arc<Traffic>,
    /// What was opened to be read, and what it stood for.
    opened: Mutex<Vec<(Reference, SnapshotAt)>>,
    timer: SystemTimer,
}

/// The most bytes a second that a command may move, where the command line says so.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    /// To the store.
    pub(crate) upload: Option<ByteCount>,
    /// From the store.
    pub(crate) download: Option<ByteCount>,
}

impl Session {
    /// A run with these settings.
    pub(crate) fn new(settings: Settings, output: Output, interrupts: Interrupts) -> Self {
        let (ambient, traffic, opened) = (Ambient::default(), Arc::default(), Mutex::default());
        Self { settings, output, interrupts, ambient, traffic, opened, timer: SystemTimer::default() }
    }

    /// What was set.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How things are shown.
    pub(crate) fn output(&self) -> &Output {
        &self.output
    }

    /// Is cancelled by Ctrl-C; whoever takes it leaves nothing behind and is not waited for.
    pub(crate) fn interruption(&self) -> CancellationToken {
        self.interrupts.token()
    }

    /// Has Ctrl-C waited for what is cleaned up, until it is dropped.
    pub(crate) fn heed_interrupts(&self) -> Heeding {
        self.interrupts.heed()
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Timestamp {
        self.ambient.timestamp()
    }

    /// How long this run takes until now.
    pub(crate) fn elapsed(&self) -> Duration {
        self.timer.elapsed()
    }

    /// A number that nobody can guess, for names that nobody else has.
    pub(crate) fn token(&self) -> u64 {
        u64::from_le_bytes(self.ambient.random())
    }

    /// What was asked of the store so far.
    pub(crate) fn traffic(&self) -> TrafficReport {
        self.traffic.report()
    }

    /// Tells how many bytes the store has confirmed so far.
    pub(crate) fn confirmed_bytes(&self) -> impl Fn() -> u64 + Send + use<> {
        let traffic = Arc::clone(&self.traffic);
        move || traffic.bytes_confirmed()
    }

    /// Shows what is read of the store from now on, of so many bytes; 0 as long as that is not known.
    pub(crate) fn show_reading(&self, what: &'static str, total_bytes: Arc<AtomicU64>) -> Progress {
        let (traffic, before) = (Arc::clone(&self.traffic), self.traffic.bytes_read());
        Progress::start(&self.output, what, Pace::default(), move || {
            let bytes = traffic.bytes_read() - before;
            let total_bytes = Some(total_bytes.load(Ordering::Relaxed)).filter(|total| *total > 0);
            Moment { bytes, total_bytes, ..Moment::default() }
        })
    }

    /// The namespace, which must exist.
    pub(crate) async fn namespace(&self, limits: Limits) -> Result<Namespace, Failure> {
        let store = self.open_store(limits)?;
        let name = self.settings.namespace().clone();
        let opened = Namespace::open(store, name, self.ambient.clone())
            .await
            .map_err(|e| Failure::advised(e, &[ErrorKind::NotFound], &self.where_namespaces_come_from()))?;
        Ok(opened.with_conditions(self.conditions()?))
    }

    /// The namespace to be looked at; where its record is damaged, as far as its refs tell what it is, and the failure.
    pub(crate) async fn namespace_as_it_is(&self) -> Result<(Namespace, Option<Failure>), Failure> {
        let damage = match self.namespace(Limits::default()).await {
            Ok(namespace) => return Ok((namespace, None)),
            Err(failure) if failure.code() == Code::Corrupt => failure,
            Err(failure) => return Err(failure),
        };
        let store = self.open_store(Limits::default())?;
        let name = self.settings.namespace().clone();
        match Namespace::open_by_refs(store, name, self.ambient.clone()).await {
            Ok(Some(namespace)) => Ok((namespace, Some(damage))),
            _ => Err(damage),
        }
    }

    /// The namespace, made where it does not exist.
    pub(crate) async fn namespace_for_writing(&self, limits: Limits) -> Result<Namespace, Failure> {
        let store = self.open_store(limits)?;
        let name = self.settings.namespace().clone();
        let opened = Namespace::open_or_create(store, name, self.ambient.clone()).await?;
        Ok(opened.with_conditions(self.conditions()?))
    }

    /// The namespace, to look what a push would do: nothing is made.
    pub(crate) async fn namespace_for_looking(&self, limits: Limits) -> Result<Namespace, Failure> {
        let store = self.open_store(limits)?;
        let name = self.settings.namespace().clone();
        Ok(Namespace::open_or_imagine(store, name, self.ambient.clone()).await?)
    }

    /// What a reference stands for, opened to be read.
    pub(crate) async fn snapshot(
        &self,
        reference: &Reference,
        limits: Limits,
    ) -> Result<(Namespace, Resolved, Snapshot), Failure> {
        let store = self.open_store(limits)?;
        let name = self.settings.namespace().clone();
        let (namespace, resolved) =
            match Namespace::open_at(store, name, self.ambient.clone(), reference).await {
                Err(e) if e.kind() == ErrorKind::NotFound => {
                    // Where there is not even the namespace, that is what to say.
                    self.namespace(limits).await?;
                    return Err(e.into());
                }
                opened => opened?,
            };
        tracing::info!(snapshot = %resolved.at.snapshot, "opening");
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).push((reference.clone(), resolved.at));
        let snapshot = Snapshot::open(&namespace, resolved.at).await?;
        Ok((namespace, resolved, snapshot))
    }

    /// Whether something that was opened stands for another snapshot by now, or for the same one stored otherwise, and nothing
    /// of it was shown yet.
    ///
    /// # Errors
    ///
    /// Ctrl-C, meanwhile.
    pub(crate) async fn has_moved(&self) -> Result<bool, Failure> {
        let stop = self.interruption();
        tokio::select! {
            biased;
            () = stop.cancelled() => {
                Err(Error::new(ErrorKind::Cancelled, "the ref was not looked up again").into())
            }
            has_moved = self.ask_whether_moved() => Ok(has_moved),
        }
    }

    async fn ask_whether_moved(&self) -> bool {
        let opened = std::mem::take(&mut *self.opened.lock().unwrap_or_else(PoisonError::into_inner));
        for (reference, before) in opened.into_iter().filter(|_| !self.output.has_shown_data()) {
            let Ok(store) = self.open_store(Limits::default()) else { return false };
            let name = self.settings.namespace().clone();
            match Namespace::open_at(store, name, self.ambient.clone(), &reference).await {
                Ok((_, now)) if now.at != before => return true,
                _ => {}
            }
        }
        false
    }

    /// Where caches are kept.
    pub(crate) fn cache_dir(&self) -> PathBuf {
        self.settings.cache_dir().clone()
    }

    /// Where this command itself writes on this machine, so that it neither stores nor removes that.
    pub(crate) fn own_directories(&self) -> Result<Vec<OwnDirectory>, Failure> {
        let store = store::local_directory(self.settings.store()).map_err(Self::bad_location)?;
        // The namespace, too: mounted elsewhere, it is seen without what it is in.
        let namespace = store.as_ref().map(|path| path.join(self.settings.namespace().as_str()));
        let store = store.into_iter().chain(namespace);
        let store = store.map(|path| OwnDirectory { path, purpose: Purpose::Store });
        let caches = OwnDirectory { path: self.cache_dir(), purpose: Purpose::Caches };
        Ok(store.chain([caches]).collect())
    }

    /// Who this is, for people who find a lease.
    pub(crate) fn holder(&self, command: &str) -> String {
        let system = rustix::system::uname();
        let host = system.nodename().to_string_lossy();
        format!("floe {command} on {host}, process {}", std::process::id())
    }

    /// What is known of the conditions of the store.
    fn conditions(&self) -> Result<Conditions, Failure> {
        let (store, cache_dir) = (self.settings.store(), self.settings.cache_dir());
        Ok(store::conditions_of(store, &settings::store_environment(), cache_dir)?)
    }

    fn open_store(&self, limits: Limits) -> Result<Arc<CountingStore>, Failure> {
        tracing::info!(store = self.settings.store(), namespace = %self.settings.namespace(), "opening");
        let said = self.settings.transfer();
        // 0 is none, and takes the configuration's away.
        let limit = |asked: Option<ByteCount>, said: Option<u64>| {
            asked.map_or(said, |l| Some(l.0)).filter(|l| *l > 0)
        };
        let transfer = StoreSettings {
            upload_bytes_per_second: limit(limits.upload, said.upload_bytes_per_second),
            download_bytes_per_second: limit(limits.download, said.download_bytes_per_second),
            ..said.clone()
        };
        let environment = settings::store_environment();
        let store = store::open(self.settings.store(), &transfer, &environment, &self.ambient)
            .map_err(Self::bad_location)?;
        Ok(Arc::new(CountingStore::new(store, Arc::clone(&self.traffic))))
    }

    /// The failure of a store's location that cannot be.
    fn bad_location(error: Error) -> Failure {
        // What has a remedy is not the location's fault.
        if !matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unsupported) || error.remedy().is_some() {
            return error.into();
        }
        Failure::from(error)
            .advise("Name a directory, file://, s3://, gs:// or az:// with --store or FLOE_STORE.")
            .with_code(Code::Usage)
    }

    fn where_namespaces_come_from(&self) -> String {
        format!(
            "The store is {}; check --store and --namespace, or make the namespace by a first push: `floe push PATH \
             REF`.",
            printable(self.settings.store())
        )
    }
}
