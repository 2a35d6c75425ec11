//! `floe cat`.

use clap::Args;
use floe_core::{CatOptions, ErrorKind};

use crate::failure::{Code, Failure};
use crate::output::printable_path;
use crate::quantities::ByteCount;
use crate::session::{Limits, Session};
use crate::tree_path::TreePath;

/// Write the content of a file of a snapshot to standard output
#[derive(Clone, Debug, Args)]
pub(crate) struct CatArguments {
    /// Which snapshot, and which file of it
    #[arg(value_name = "REF:PATH")]
    file: TreePath,
    /// Read at most so much a second from the store, as 10MiB; 0 is no limit
    #[arg(long, value_name = "SIZE")]
    limit_download: Option<ByteCount>,
}

pub(crate) async fn run(session: &Session, arguments: CatArguments) -> Result<Code, Failure> {
    let TreePath { reference, path } = arguments.file;
    if path.is_empty() {
        let advice = format!("Write `floe cat {reference}:PATH`; `floe ls {reference}` lists what there is.");
        return Err(Failure::usage("which file to show is not said", advice));
    }
    let limits = Limits { download: arguments.limit_download, ..Limits::default() };
    let (namespace, _, snapshot) = session.snapshot(&reference, limits).await?;
    let options = CatOptions { cache_dir: Some(session.cache_dir()), cancel: session.interruption() };
    let (out, outcome) = session.output().stream();
    let done = floe_core::cat(&namespace, &snapshot, &path, Box::new(out), &options).await;
    outcome.settle(done).map_err(|failure| match failure.is(ErrorKind::Invalid) {
        true => {
            failure.advise(format!("See what it is with `floe ls {reference}:{}`.", printable_path(&path)))
        }
        false => failure,
    })?;
    Ok(Code::Done)
}
