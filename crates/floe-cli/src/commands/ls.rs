//! `floe ls`.

use clap::Args;

use crate::arguments::ReportArguments;
use crate::commands::{entries, refs};
use crate::failure::{Code, Failure};
use crate::session::Session;
use crate::tree_path::TreePath;

/// List the refs of the namespace with their age and size, or a directory of a snapshot
#[derive(Clone, Debug, Args)]
pub(crate) struct LsArguments {
    /// Which snapshot, and which directory of it
    #[arg(value_name = "REF[:PATH]")]
    directory: Option<TreePath>,
    /// Show modes, sizes and times; of refs, the snapshots they name
    #[arg(short, long)]
    long: bool,
    /// List refs that were removed, too, and what brings them back
    #[arg(long, conflicts_with = "directory")]
    removed: bool,
    /// List all that is below the directory
    #[arg(short = 'R', long, requires = "directory")]
    recursive: bool,
    /// End each path with a zero byte instead of a newline, and show it as it is
    #[arg(short = '0', long, requires = "directory", conflicts_with = "json")]
    null: bool,
    #[command(flatten)]
    pub(crate) report: ReportArguments,
}

pub(crate) async fn run(session: &Session, arguments: LsArguments) -> Result<Code, Failure> {
    let json = arguments.report.json;
    match &arguments.directory {
        None => {
            let style = refs::Style { long: arguments.long, removed: arguments.removed, json };
            refs::list(session, style).await
        }
        Some(directory) => {
            let style = entries::Style {
                below: arguments.recursive,
                long: arguments.long,
                null: arguments.null,
                json,
            };
            entries::list(session, directory, style).await
        }
    }
}
