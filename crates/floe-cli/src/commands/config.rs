//! `floe config`.

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;

use crate::arguments::ReportArguments;
use crate::failure::{Code, Failure};
use crate::output::printable;
use crate::session::Session;
use crate::settings::{ShownSetting, shown_clouds, store_environment};

/// Look at the configuration
#[derive(Clone, Debug, Args)]
pub(crate) struct ConfigArguments {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum ConfigCommand {
    /// Show every setting and where its value comes from: flag, environment, file, AWS profile or default
    Show(ReportArguments),
}

#[derive(Serialize)]
struct ConfigReport<'a> {
    file: &'a str,
    settings: Vec<ShownSetting>,
}

impl ConfigArguments {
    /// Whether the command reports in JSON.
    pub(crate) fn reports_json(&self) -> bool {
        let ConfigCommand::Show(ReportArguments { json }) = self.command;
        json
    }
}

pub(crate) fn run(session: &Session, arguments: &ConfigArguments) -> Result<Code, Failure> {
    let json = arguments.reports_json();
    let file = session.settings().path().to_string_lossy();
    let mut settings = session.settings().shown();
    settings.extend(shown_clouds(&store_environment()));
    if json {
        session.output().json(&ConfigReport { file: &file, settings })?;
        return Ok(Code::Done);
    }
    let width = settings.iter().map(|setting| setting.key.len()).max().unwrap_or(0);
    session.output().data(|out| {
        let is_there = if session.settings().path().exists() { "" } else { ", which is not there" };
        writeln!(out, "# {}{is_there}", printable(&file))?;
        for ShownSetting { key, value, origin, variable } in &settings {
            let value = match value {
                Value::Null => "none".to_owned(),
                Value::String(text) => printable(text),
                other => other.to_string(),
            };
            match variable {
                Some(variable) => writeln!(out, "{key:width$}  {value}  ({origin}: {variable})")?,
                None => writeln!(out, "{key:width$}  {value}  ({origin})")?,
            }
        }
        Ok(())
    })?;
    Ok(Code::Done)
}
