//! `floe push`.

mod options;
mod report;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use floe_core::source::Exclusions;
use floe_core::{Annotation, Namespace, PushOptions, PushProgress, PushSource, RefName, Reference, Snapshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::options::WhatArguments;
use crate::arguments::{AnnotationArguments, ReportArguments};
use crate::failure::{Code, Failure};
use crate::progress::{Moment, Progress};
use crate::quantities::ByteCount;
use crate::session::{Limits, Session};

/// Before this a push is over, or is worth a look at how long it will take.
const LONG_PUSH: Duration = Duration::from_millis(250);

/// Store a directory as a snapshot and make a ref name it
///
/// Only what the ref's snapshot does not have is sent. A push of what the ref names already changes nothing. A store on
/// this machine and the cache directory are left out where they are in PATH, and told of.
#[derive(Debug, Args)]
pub(crate) struct PushArguments {
    /// The directory, or `-` for a tar on standard input
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// The ref's name
    #[arg(value_name = "REF")]
    name: RefName,
    #[command(flatten)]
    annotation: AnnotationArguments,
    /// How hard to compress, from 1 to 19 [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=19))]
    level: Option<i32>,
    /// Push against this snapshot instead of what the ref names
    #[arg(long, value_name = "REF")]
    base: Option<Reference>,
    /// Send everything, whatever the store has; brings back what is damaged or lost there
    #[arg(long, conflicts_with = "base")]
    full: bool,
    /// Read every file, whatever the times and sizes say
    #[arg(long)]
    by_hash: bool,
    /// Tell what would be sent, and write nothing to the store
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Send at most so much a second, as 10MiB; 0 is no limit
    #[arg(long, value_name = "SIZE")]
    limit_upload: Option<ByteCount>,
    /// How many threads compress [default: one a processor]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    #[command(flatten)]
    report: ReportArguments,
    #[command(flatten)]
    what: WhatArguments,
}

pub(crate) async fn run(session: &Session, arguments: PushArguments) -> Result<Code, Failure> {
    let started = Instant::now();
    let source = source(arguments.path)?;
    let mut options = arguments.what.options(session.own_directories()?)?;
    let limits = Limits { upload: arguments.limit_upload, ..Limits::default() };
    let namespace = match arguments.dry_run {
        true => session.namespace_for_looking(limits).await?,
        false => session.namespace_for_writing(limits).await?,
    };
    options.level = arguments.level.unwrap_or_else(|| session.settings().level());
    options.annotation = arguments.annotation.into();
    let is_annotated = options.annotation != Annotation::default();
    options.full = arguments.full;
    options.by_hash = arguments.by_hash;
    options.dry_run = arguments.dry_run;
    options.holder = session.holder("push");
    options.cache_dir = Some(session.cache_dir());
    options.cancel = session.cancellation();
    if let Some(jobs) = arguments.jobs {
        options.workers = jobs.into();
    }
    if let Some(base) = &arguments.base {
        options.base = Some(namespace.resolve(base).await?.at);
    }
    let name = arguments.name;
    let progress = Arc::new(PushProgress::default());
    let size = Size::new(&namespace, &name, &source, &options);
    let shown = show_progress(session, size, &progress, arguments.dry_run);
    let pushed = floe_core::push(&namespace, source, &name, &options, &progress).await;
    drop(shown);
    report::show(session, &name, &pushed?, started.elapsed(), arguments.report.json, is_annotated)?;
    Ok(Code::Done)
}

fn source(path: PathBuf) -> Result<PushSource, Failure> {
    if path.as_os_str() == "-" {
        let input = std::io::stdin();
        if input.is_terminal() {
            let message = "standard input is a terminal, and is to be a tar";
            return Err(Failure::usage(message, "Pipe one in: tar -c DIRECTORY | floe push - REF"));
        }
        return Ok(PushSource::Tar(Box::new(input)));
    }
    match std::fs::metadata(&path) {
        Ok(found) if !found.is_dir() => {
            let message = format!("{} is not a directory", path.display());
            let advice = "Name a directory, or push a tar on standard input: floe push - REF < FILE";
            Err(Failure::new(Code::Failed, message, advice))
        }
        Ok(_) => Ok(PushSource::Directory(path)),
        Err(e) => Err(Failure::io(format!("cannot push {}", path.display()), e)
            .advise("Name a directory that is there and that you may read.")),
    }
}

/// Shows how far the push is.
fn show_progress(session: &Session, size: Size, progress: &Arc<PushProgress>, dry_run: bool) -> Progress {
    let expected_bytes = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&expected_bytes);
    let finding = session.output().shows_progress().then(|| {
        let finding = tokio::spawn(async move { told.store(size.find().await, Ordering::Relaxed) });
        AbortOnDropHandle::new(finding)
    });
    let progress = Arc::clone(progress);
    let confirmed = session.confirmed_bytes();
    Progress::start(session.output(), "Pushing", move || {
        // Dropped with this, it stops.
        let _ = &finding;
        let expected = expected_bytes.load(Ordering::Relaxed);
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (done, reused) = (count(&progress.file_bytes), count(&progress.reused_file_bytes));
        let handed_on = count(&progress.uploaded_bytes);
        let sent = if dry_run { handed_on } else { confirmed().min(handed_on) };
        Moment {
            bytes: done.saturating_sub(on_their_way(done.saturating_sub(reused), sent, handed_on)),
            total_bytes: Some(expected).filter(|bytes| *bytes > 0),
            reused_bytes: Some(reused),
            files: Some(count(&progress.files)),
            uploaded_bytes: (!dry_run).then_some(sent),
        }
    })
}

/// How many of new bytes of files are not in the store yet, where of the bytes that were made of them only a part is.
fn on_their_way(new_bytes: u64, sent: u64, handed_on: u64) -> u64 {
    let part = u128::from(new_bytes) * u128::from(handed_on.saturating_sub(sent));
    part.checked_div(handed_on.into()).and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0)
}

/// What is needed to find out how much there is to push.
struct Size {
    namespace: Namespace,
    name: RefName,
    directory: Option<PathBuf>,
    exclusions: Exclusions,
    cancel: CancellationToken,
}

impl Size {
    fn new(namespace: &Namespace, name: &RefName, source: &PushSource, options: &PushOptions) -> Self {
        let directory = match source {
            PushSource::Directory(path) => Some(path.clone()),
            PushSource::Tar(_) => None,
        };
        Self {
            namespace: namespace.clone(),
            name: name.clone(),
            directory,
            exclusions: options.exclusions.clone(),
            cancel: options.cancel.clone(),
        }
    }

    /// Bytes of files: about what the ref names has, else what the directory is told to have; 0 if nobody can say.
    async fn find(self) -> u64 {
        tokio::time::sleep(LONG_PUSH).await;
        if let Ok(resolved) = self.namespace.resolve(&Reference::Ref(self.name)).await
            && let Ok(snapshot) = Snapshot::open(&self.namespace, resolved.at).await
        {
            return snapshot.root().file_bytes;
        }
        let Some(directory) = self.directory else { return 0 };
        floe_core::directory_bytes(&directory, &self.exclusions, &self.cancel).await.unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_its_way_is_not_done() {
        assert_eq!(on_their_way(0, 0, 0), 0);
        assert_eq!(on_their_way(1_000, 0, 300), 1_000);
        assert_eq!(on_their_way(1_000, 75, 300), 750);
        assert_eq!(on_their_way(u64::MAX, 300, 300), 0);
    }
}
