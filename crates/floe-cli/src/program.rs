//! From arguments to an exit code.

use std::ffi::OsString;
use std::mem::ManuallyDrop;
use std::panic::resume_unwind;
use std::process::ExitCode;

use clap::Parser;
use tokio::sync::oneshot;
use tracing_subscriber::filter::LevelFilter;

use crate::arguments::{Arguments, CommonArguments};
use crate::commands;
use crate::failure::{Code, Failure};
use crate::interrupt::Interrupts;
use crate::output::Output;
use crate::session::Session;
use crate::settings::Settings;

/// Runs the program with these arguments, its own name first.
pub(crate) fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version go to standard output, and whoever closes it has read enough.
            let _ = error.print();
            return if error.use_stderr() { Code::Usage } else { Code::Done }.into();
        }
    };
    let output = Output::new(&arguments.common);
    start_log(&arguments.common, &output);
    let json = arguments.command.reports_json();
    match execute(arguments, &output) {
        Ok(code) => code.into(),
        Err(failure) => {
            output.failure(&failure, json);
            failure.code().into()
        }
    }
}

fn execute(arguments: Arguments, output: &Output) -> Result<Code, Failure> {
    let settings = Settings::load(&arguments.common)?;
    let interrupts = Interrupts::watch()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| Failure::io("cannot start the runtime", e))?;
    let runtime = ManuallyDrop::new(runtime);
    let session = Session::new(settings, output.clone(), interrupts.clone());
    let (ending, ended) = oneshot::channel::<()>();
    let (handle, unheeded) = (runtime.handle().clone(), interrupts.clone());
    // On a thread of its own, which may be held by whoever does not read what it writes.
    let command = move || {
        let _ending = ending;
        handle.block_on(async {
            tokio::select! {
                biased;
                done = commands::run(&session, arguments.command) => done,
                failure = unheeded.unheeded() => Err(failure),
            }
        })
    };
    let command = std::thread::Builder::new().name("command".into()).spawn(command);
    let command = command.map_err(|e| Failure::io("cannot start a thread", e))?;
    let overdue = runtime.block_on(async {
        tokio::select! {
            biased;
            _ = ended => None,
            failure = interrupts.overdue() => Some(failure),
        }
    });
    let done = match overdue {
        // The command is still in the runtime, which is not to end under it.
        Some(failure) => Err(failure),
        None => {
            let done = command.join().unwrap_or_else(|panic| resume_unwind(panic));
            // Nothing is waited for: what was cancelled has cleaned up by now, or had its time.
            ManuallyDrop::into_inner(runtime).shutdown_background();
            done
        }
    };
    done.map_err(|failure| failure.by_signal(interrupts.signal()))
}

/// Shows what the engine logs on standard error.
fn start_log(common: &CommonArguments, output: &Output) {
    let level = match (common.quiet, common.verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => LevelFilter::WARN,
        (false, 1) => LevelFilter::INFO,
        (false, 2) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    };
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        // Of what cannot be told nobody can be told, and the work goes on.
        .log_internal_errors(false)
        .with_ansi(output.has_color())
        .with_target(common.verbose > 1);
    // A warning among what a person reads needs no clock.
    if common.verbose == 0 { log.without_time().init() } else { log.init() }
}
