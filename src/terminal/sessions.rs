//! `sessions`: who is in a realm, and the means to end a session.

use super::{
    EXIT_CODES, Interrupt, REFUSED, Stopped, UNDONE,
    output::Output,
    roster::{self, Details, shown},
    say,
    table::{self, Column},
    target::Target,
    text, watch, within_session,
};
use crate::client::{Failure, Payload, Session};
use anstyle::Style;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

/// See who is in a realm, and end sessions
///
/// It speaks the session meta API of WAMP, so it works with any router that has it, if the role of who asks may call
/// `wamp.session.*` there.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct SessionsArgs {
    #[command(subcommand)]
    what: What,

    /// Print JSON, one object a line
    #[arg(long, global = true)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Subcommand)]
enum What {
    #[command(flatten)]
    Once(Once),
    /// Tell who joins and who leaves, until Ctrl-C
    ///
    /// A connection that is lost is made again; who came and went meanwhile is told then.
    Watch,
}

/// What is asked, or done, once.
#[derive(Debug, Subcommand)]
enum Once {
    /// List the sessions, that of this command included
    List {
        /// Only those with this authrole; can be given several times
        #[arg(long, value_name = "ROLE")]
        authrole: Vec<String>,
    },
    /// Tell all that is known of a session
    Get {
        /// The session
        session: u64,
    },
    /// End sessions
    Kill {
        /// The sessions
        #[arg(required = true)]
        sessions: Vec<u64>,
        #[command(flatten)]
        how: How,
    },
    /// End the sessions of an authid, but not that of this command
    KillByAuthid {
        /// The authid
        #[arg(value_name = "AUTHID")]
        whose: String,
        #[command(flatten)]
        how: How,
    },
    /// End the sessions with a role, but not that of this command
    KillByAuthrole {
        /// The role
        authrole: String,
        #[command(flatten)]
        how: How,
    },
    /// End all sessions but that of this command
    KillAll {
        #[command(flatten)]
        how: How,
    },
}

/// How to end sessions.
#[derive(Debug, Args)]
struct How {
    /// The reason that the clients are told; without it the router says wamp.close.killed
    #[arg(long, value_name = "URI")]
    reason: Option<String>,

    /// A text that the clients are told besides
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,

    /// Do not ask before more than one session is ended
    #[arg(long, short)]
    yes: bool,
}

/// Runs `sessions`.
pub(super) async fn run(args: SessionsArgs, interrupt: Interrupt) -> Result<ExitCode, Failure> {
    let SessionsArgs { what, target, json } = args;
    let once = match what {
        What::Once(once) => once,
        What::Watch => return watch::run(&target, interrupt, json).await,
    };
    within_session(&target, interrupt, Stopped::Undone, async |session, _| match &once {
        Once::List { authrole } => list(session, target.realm(), authrole, json).await,
        Once::Get { session: id } => get(session, *id, json).await,
        Once::Kill { sessions, how } => kill(session, sessions, how, json).await,
        Once::KillByAuthid { whose, how } => {
            let of = Many { procedure: "wamp.session.kill_by_authid", args: vec![whose.as_str().into()] };
            kill_many(session, of, how, json, |details| may_be(&details.authid, whose)).await
        }
        Once::KillByAuthrole { authrole, how } => {
            let of =
                Many { procedure: "wamp.session.kill_by_authrole", args: vec![authrole.as_str().into()] };
            kill_many(session, of, how, json, |details| may_be(&details.authrole, authrole)).await
        }
        Once::KillAll { how } => {
            let of = Many { procedure: "wamp.session.kill_all", args: Vec::new() };
            kill_many(session, of, how, json, |_| true).await
        }
    })
    .await
}

const COLUMNS: [Column; 6] = [
    Column { title: "SESSION", least: 16 },
    Column { title: "AUTHID", least: 16 },
    Column { title: "AUTHROLE", least: 12 },
    Column { title: "PEER", least: 21 },
    Column { title: "AUTHMETHOD", least: 10 },
    Column { title: "CONNECTION", least: 18 },
];

fn rows(sessions: &[Details]) -> Vec<Vec<String>> {
    let row = |details: &Details| {
        vec![
            details.session.to_string(),
            shown(&details.authid),
            shown(&details.authrole),
            details.peer(),
            shown(&details.authmethod),
            details.connection(),
        ]
    };
    sessions.iter().map(row).collect()
}

fn count(sessions: usize) -> String {
    match sessions {
        1 => "1 session".to_owned(),
        _ => format!("{sessions} sessions"),
    }
}

async fn list(session: &Session, realm: &str, authroles: &[String], json: bool) -> Result<ExitCode, Failure> {
    let sessions = roster::all(session, authroles).await?;
    let mut output = Output::new();
    if json {
        for details in &sessions {
            output.line(&text::json(details))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let lines = table::lines(&COLUMNS, rows(&sessions), output.width());
    for (number, line) in lines.iter().enumerate() {
        output.styled(if number == 0 { Style::new().bold() } else { Style::new() }, line)?;
    }
    let own = if sessions.iter().any(|details| details.session == session.id) {
        format!(", that of this command, {}, included", session.id)
    } else {
        String::new()
    };
    output
        .styled(Style::new().dimmed(), &format!("{} in {}{own}", count(sessions.len()), text::word(realm)))?;
    Ok(ExitCode::SUCCESS)
}

async fn get(session: &Session, id: u64, json: bool) -> Result<ExitCode, Failure> {
    let told = session.call("wamp.session.get", Payload::of(vec![id.into()])).await;
    let details = Details::read(told.map_err(|failure| about(failure, id))?.args.first())?;
    let mut output = Output::new();
    if json {
        output.line(&text::json(&details))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut told = vec![
        ("session".to_owned(), details.session.into()),
        ("authid".to_owned(), details.authid),
        ("authrole".to_owned(), details.authrole),
        ("authmethod".to_owned(), details.authmethod),
        ("authprovider".to_owned(), details.authprovider),
    ];
    let transport = [("transport".to_owned(), details.transport)];
    for (key, value) in details.more.into_iter().chain(transport) {
        if let Value::Object(parts) = value {
            told.extend(parts.into_iter().map(|(part, value)| (format!("{key}.{part}"), value)));
        } else {
            told.push((key, value));
        }
    }
    let rows = told.iter().map(|(key, value)| (text::word(key), shown(value))).collect::<Vec<_>>();
    let widest = rows.iter().map(|(key, _)| key.chars().count()).max().unwrap_or_default();
    for (key, value) in rows {
        output.line(&format!("{key:widest$}  {value}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Says which session an error is about.
fn about(mut failure: Failure, id: u64) -> Failure {
    if let Failure::Refused(refused) = &mut failure
        && refused.uri == "wamp.error.no_such_session"
    {
        refused.what = format!("session {id}");
        // The router says the same in its words.
        refused.told.clear();
    }
    failure
}

impl How {
    fn payload(&self, args: Vec<Value>) -> Payload {
        let keywords = [("reason", &self.reason), ("message", &self.message)];
        let given = keywords.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?)));
        Payload { args, kwargs: given.map(|(key, value)| (key.to_owned(), value.into())).collect() }
    }
}

/// Ends one session after the other. One that is not there does not save the others.
async fn kill(session: &Session, victims: &[u64], how: &How, json: bool) -> Result<ExitCode, Failure> {
    let mut output = Output::new();
    if victims.len() > 1 && !how.yes {
        let found = roster::all(session, &[]).await?;
        let found: Vec<_> = found.into_iter().filter(|one| victims.contains(&one.session)).collect();
        if let Some(code) = refused(found).await? {
            return Ok(code);
        }
    }
    let mut code = ExitCode::SUCCESS;
    // All are to be ended, whether that can be written or not.
    let mut written = Ok(());
    for victim in victims {
        match session.call("wamp.session.kill", how.payload(vec![(*victim).into()])).await {
            Ok(_) => {
                let line = match json {
                    true => text::json(&json!({"killed": 1, "session": victim})),
                    false => format!("session {victim} is ended"),
                };
                written = output.line(&line).and(written);
            }
            Err(failure @ Failure::Refused(_)) => {
                say(&format!("realmkeeper: {}", text::explained(&about(failure, *victim))));
                code = ExitCode::from(REFUSED);
            }
            Err(failure) => return Err(failure),
        }
    }
    match written {
        // Whoever closed the output does not want to read it.
        Ok(()) | Err(Failure::Output { is_closed: true, .. }) => Ok(code),
        Err(failure) => Err(failure),
    }
}

/// One of the procedures that end several sessions.
struct Many {
    procedure: &'static str,
    args: Vec<Value>,
}

/// Whether this is `meant`. Where the router does not tell it is better to ask.
fn may_be(told: &Value, meant: &str) -> bool {
    told.is_null() || told == meant
}

async fn kill_many(
    session: &Session,
    many: Many,
    how: &How,
    json: bool,
    is_meant: impl Fn(&Details) -> bool,
) -> Result<ExitCode, Failure> {
    if !how.yes {
        let mut found = roster::all(session, &[]).await?;
        found.retain(|details| details.session != session.id && is_meant(details));
        if let Some(code) = refused(found).await? {
            return Ok(code);
        }
    }
    let answer = session.call(many.procedure, how.payload(many.args)).await?;
    // Routers differ in what they answer: the number, or which ones.
    let killed = match answer.args.first() {
        Some(Value::Array(sessions)) => sessions.len(),
        Some(number) => number.as_u64().unwrap_or_default() as usize,
        None => 0,
    };
    let mut output = Output::new();
    if json {
        output.line(&text::json(&json!({"killed": killed})))?;
    } else {
        output.line(&match killed {
            0 => "there is no such session".to_owned(),
            1 => "1 session is ended".to_owned(),
            _ => format!("{killed} sessions are ended"),
        })?;
    }
    Ok(if killed == 0 { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS })
}

/// Shows who is to be killed and asks whether that is meant, if it is more than one; the exit code if it is not.
async fn refused(victims: Vec<Details>) -> Result<Option<ExitCode>, Failure> {
    let number = victims.len();
    if number < 2 {
        return Ok(None);
    }
    let width = terminal_size::terminal_size_of(io::stderr()).map(|(width, _)| width.0);
    for line in table::lines(&COLUMNS, rows(&victims), width) {
        say(&line);
    }
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(Failure::Usage(format!("{} would be ended; say --yes if that is meant", count(number))));
    }
    let asked = tokio::task::spawn_blocking(move || {
        write!(io::stderr(), "End these {}? [y/N] ", count(number))?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map(|_| answer)
    });
    let answer = asked.await.map_err(io::Error::other)??;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(None);
    }
    say("nobody is ended");
    Ok(Some(ExitCode::from(UNDONE)))
}
