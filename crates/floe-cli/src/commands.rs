//! The commands, one file each.

pub(crate) mod archive;
pub(crate) mod cat;
mod changes;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod diff;
pub(crate) mod entries;
pub(crate) mod generation;
pub(crate) mod log;
pub(crate) mod ls;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod refs;
pub(crate) mod rm;
pub(crate) mod show;
pub(crate) mod tag;
pub(crate) mod verify;

use floe_core::Remedy;

use crate::arguments::Command;
use crate::failure::{Code, Failure};
use crate::session::Session;

/// Runs one command; once more where what it reads is stored in other objects by now.
pub(crate) async fn run(session: &Session, command: Command) -> Result<Code, Failure> {
    match run_once(session, command.clone()).await {
        Err(failure) if failure.remedy() == Some(Remedy::ResolveAgain) && session.has_moved().await? => {
            tracing::info!(reason = failure.message(), "reading again, as it is stored now");
            if let Command::Pull(arguments) = &command {
                arguments.tell_of_what_may_stay();
            }
            run_once(session, command).await
        }
        done => done,
    }
}

async fn run_once(session: &Session, command: Command) -> Result<Code, Failure> {
    match command {
        Command::Push(arguments) => push::run(session, arguments).await,
        Command::Pull(arguments) => pull::run(session, arguments).await,
        Command::Ls(arguments) => ls::run(session, arguments).await,
        Command::Cat(arguments) => cat::run(session, arguments).await,
        Command::Log(arguments) => log::run(session, arguments).await,
        Command::Show(arguments) => show::run(session, arguments).await,
        Command::Diff(arguments) => diff::run(session, arguments).await,
        Command::Tag(arguments) => tag::run(session, arguments).await,
        Command::Rm(arguments) => rm::run(session, arguments).await,
        Command::Verify(arguments) => verify::run(session, arguments).await,
        Command::Archive(arguments) => archive::run(session, arguments).await,
        Command::Config(arguments) => config::run(session, &arguments),
        Command::Completions(arguments) => completions::run(session, &arguments),
    }
}
