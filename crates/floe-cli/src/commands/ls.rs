//! `floe ls`.

use clap::Args;

use crate::arguments::ReportArguments;
use crate::commands::refs;
use crate::failure::{Code, Failure};
use crate::session::{Limits, Session};

/// List the refs of the namespace with their age and size
#[derive(Debug, Args)]
pub(crate) struct LsArguments {
    #[command(flatten)]
    report: ReportArguments,
}

pub(crate) async fn run(session: &Session, arguments: LsArguments) -> Result<Code, Failure> {
    let namespace = session.namespace(Limits::default()).await?;
    refs::list(session, &namespace, arguments.report.json).await
}
