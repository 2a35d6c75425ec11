//! `floe push`.

mod foreseen;
mod options;
mod progress;
mod report;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use floe_core::{Annotation, PushProgress, PushSource, RefName, Reference};

use self::options::WhatArguments;
use self::progress::Size;
use self::report::Told;
use super::changes::ChangeList;
use crate::arguments::{AnnotationArguments, ReportArguments};
use crate::failure::{Code, Failure};
use crate::quantities::ByteCount;
use crate::session::{Limits, Session};

/// Store a directory as a snapshot and make a ref name it
///
/// Only what the ref's snapshot does not have is sent. A push of what the ref names already changes nothing. A store on
/// this machine and the cache directory are left out where they are in PATH, and told of.
#[derive(Clone, Debug, Args)]
pub(crate) struct PushArguments {
    /// The directory, or `-` for a tar on standard input, in which no ignore file is obeyed
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
    /// Show what differs from what the ref names, as `floe diff --times` does, and how much would be sent; write nothing to
    /// the store
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Send at most so much a second, as 10MiB; 0 is no limit
    #[arg(long, value_name = "SIZE")]
    limit_upload: Option<ByteCount>,
    /// How many threads compress [default: one a processor]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    #[command(flatten)]
    pub(crate) report: ReportArguments,
    #[command(flatten)]
    what: WhatArguments,
}

pub(crate) async fn run(session: &Session, arguments: PushArguments) -> Result<Code, Failure> {
    let source = source(arguments.path)?;
    let mut options = arguments.what.options(session.own_directories()?)?;
    let limits = Limits { upload: arguments.limit_upload, ..Limits::default() };
    let namespace = match arguments.dry_run {
        true => session.namespace_for_looking(limits).await?,
        false => session.namespace_for_writing(limits).await?,
    };
    options.level = arguments.level.unwrap_or_else(|| session.settings().level());
    options.annotation = arguments.annotation.read()?;
    options.annotation.check().map_err(|e| Failure::usage(e.to_string(), "Say it in fewer words."))?;
    let is_annotated = options.annotation != Annotation::default();
    options.full = arguments.full;
    options.by_hash = arguments.by_hash;
    options.dry_run = arguments.dry_run;
    options.holder = session.holder("push");
    options.cache_dir = Some(session.cache_dir());
    options.cancel = session.interruption();
    if let Some(jobs) = arguments.jobs {
        options.workers = jobs.into();
    }
    if let Some(base) = &arguments.base {
        options.base = Some(namespace.resolve(base).await?.at);
    }
    let name = arguments.name;
    let progress = Arc::new(PushProgress::default());
    let directory = match &source {
        PushSource::Directory(path) => Some(path.clone()),
        PushSource::Tar(_) => None,
    };
    let size = Size::new(&namespace, &name, &source, &options);
    let shown = progress::show(session, size, &progress, arguments.dry_run);
    let heeding = (!arguments.dry_run).then(|| session.heed_interrupts());
    let pushed = floe_core::push(&namespace, source, &name, &options, &progress).await;
    drop((heeding, shown));
    let (pushed, json) = (pushed?, arguments.report.json);
    let told = Told { session, name: &name, pushed: &pushed, is_annotated };
    match directory.filter(|_| arguments.dry_run) {
        Some(directory) => {
            let mut list = ChangeList::new(session.output(), json);
            let listed = foreseen::list(&namespace, &directory, &options, &told, &mut list).await;
            list.end(listed, |()| serde_json::to_string(&told.report()))?;
        }
        None if json => session.output().json(&told.report())?,
        None => told.show_snapshot()?,
    }
    told.show(json);
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
