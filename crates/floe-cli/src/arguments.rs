//! What can be asked on the command line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};
use floe_core::{Annotation, NamespaceName};

use crate::commands;
use crate::failure::Failure;

/// Keep directories as deduplicated snapshots in an object store, and move only what changed
#[derive(Debug, Parser)]
#[command(
    name = "floe",
    version,
    max_term_width = 100,
    propagate_version = false,
    after_help = "A reference is `name`, `name@GENERATION`, or a snapshot id or its first 12 digits or more.\n\
                  Exit codes: 0 done, 1 failed, 2 usage, 3 corrupt data found, 4 lost a race (retry), 130 \
                  interrupted, 129 and 143 by SIGHUP and SIGTERM."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: CommonArguments,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct CommonArguments {
    /// Where the snapshots are: a directory, file://, s3://, gs:// or az:// [env: FLOE_STORE]
    #[arg(long, global = true, value_name = "LOCATION")]
    pub(crate) store: Option<String>,
    /// Which namespace of the store [env: FLOE_NAMESPACE]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) namespace: Option<NamespaceName>,
    /// Where caches are kept, which may be deleted at any time [env: FLOE_CACHE_DIR]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) cache_dir: Option<PathBuf>,
    /// Say only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say what is done; twice: every step
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// The option of commands that report.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ReportArguments {
    /// Report as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a command that moves a ref says in the ref's history.
#[derive(Clone, Debug, Args)]
pub(crate) struct AnnotationArguments {
    /// Say something about it, in the ref's history
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Label it, in the ref's history; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_label)]
    label: Vec<(String, String)>,
}

impl AnnotationArguments {
    /// What they say; a label has one value.
    pub(crate) fn read(self) -> Result<Annotation, Failure> {
        let mut labels = BTreeMap::new();
        for (name, value) in self.label {
            if let Some(first) = labels.insert(name.clone(), value) {
                let message = format!("the label `{name}` is given twice, and first as `{first}`");
                return Err(Failure::usage(message, "Give each label one value."));
            }
        }
        Ok(Annotation { message: self.message, labels, skipped: 0 })
    }
}

fn parse_label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a label is NAME=VALUE".into()),
    }
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    Push(commands::push::PushArguments),
    Pull(commands::pull::PullArguments),
    Ls(commands::ls::LsArguments),
    Cat(commands::cat::CatArguments),
    Log(commands::log::LogArguments),
    Show(commands::show::ShowArguments),
    Diff(commands::diff::DiffArguments),
    Tag(commands::tag::TagArguments),
    Rm(commands::rm::RmArguments),
    Verify(commands::verify::VerifyArguments),
    Archive(commands::archive::ArchiveArguments),
    Config(commands::config::ConfigArguments),
    Completions(commands::completions::CompletionsArguments),
}

impl Command {
    /// Whether it reports in JSON.
    pub(crate) fn reports_json(&self) -> bool {
        match self {
            Self::Push(arguments) => arguments.report.json,
            Self::Pull(arguments) => arguments.report.json,
            Self::Ls(arguments) => arguments.report.json,
            Self::Log(arguments) => arguments.report.json,
            Self::Show(arguments) => arguments.report.json,
            Self::Diff(arguments) => arguments.report.json,
            Self::Tag(arguments) => arguments.report.json,
            Self::Rm(arguments) => arguments.report.json,
            Self::Verify(arguments) => arguments.report.json,
            Self::Archive(arguments) => arguments.report.json,
            Self::Config(arguments) => arguments.reports_json(),
            Self::Cat(_) | Self::Completions(_) => false,
        }
    }
}
