//! `floe completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::failure::{Code, Failure};
use crate::session::Session;

/// Print a script that completes commands and options in a shell
///
/// For bash: `source <(floe completions bash)`.
#[derive(Clone, Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// Which shell
    shell: Shell,
}

pub(crate) fn run(session: &Session, arguments: &CompletionsArguments) -> Result<Code, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "floe", &mut script);
    session.output().data(|out| out.write_all(&script))?;
    Ok(Code::Done)
}
