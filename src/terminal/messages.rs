//! `call`, `publish`, `subscribe` and `register`.

use super::{EXIT_CODES, Interrupt, Stopped, output::Output, say, target::Target, text, within_session};
use crate::client::{Answer, Event, Failure, Happening, Invocation, Payload};
use clap::{Args, ValueEnum};
use futures_util::{StreamExt, stream::FuturesUnordered};
use serde_json::{Map, Value, json};
use std::{
    process::{ExitCode, Output as Ended, Stdio},
    time::SystemTime,
};
use tokio::{io::AsyncWriteExt, process};

/// How many commands of `--exec` run at the same time.
const COMMANDS: usize = 16;

/// What is sent.
#[derive(Debug, Args)]
struct Sent {
    /// The arguments: JSON, or text where it is none
    #[arg(value_name = "ARGS", allow_negative_numbers = true, value_parser = |text: &str| argument(text))]
    args: Vec<Value>,

    /// The keyword arguments, as a JSON object
    #[arg(long, value_name = "JSON", value_parser = keywords)]
    kwargs: Option<Map<String, Value>>,
}

/// JSON, or text where it is none.
fn argument(text: &str) -> Result<Value, std::convert::Infallible> {
    Ok(serde_json::from_str(text).unwrap_or_else(|_| text.into()))
}

fn keywords(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("must be a JSON object: {error}"))
}

impl Sent {
    fn payload(self) -> Payload {
        Payload { args: self.args, kwargs: self.kwargs.unwrap_or_default() }
    }
}

/// Call a procedure and print the result
///
/// Each argument of the result is printed on a line of its own: text as it is, anything else as JSON. Keyword arguments
/// follow as one JSON object. What a terminal would obey is escaped where text is printed on one.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct CallArgs {
    /// The procedure
    #[arg(value_name = "URI")]
    procedure: String,

    #[command(flatten)]
    sent: Sent,

    /// Print the result as one JSON object, with args and kwargs
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

/// Publish an event, and wait until the router has taken it
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct PublishArgs {
    /// The topic
    topic: String,

    #[command(flatten)]
    sent: Sent,

    /// Print the publication as a JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

/// Print events until Ctrl-C
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct SubscribeArgs {
    /// The topic, or the pattern of topics
    topic: String,

    /// How topics match it
    #[arg(long = "match", value_enum, default_value_t = Matching::Exact)]
    matching: Matching,

    /// Stop after so many events
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Matching {
    /// The topic itself
    Exact,
    /// Every topic that begins so
    Prefix,
    /// Every topic of as many components, of which empty ones match any
    Wildcard,
}

/// Answer calls of a procedure until Ctrl-C
///
/// Without --exec a call gets back its own arguments.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct RegisterArgs {
    /// The procedure
    #[arg(value_name = "URI")]
    procedure: String,

    /// A command of the shell that answers: its arguments are those of the call, text as it is and the rest as JSON;
    /// its input is a JSON object with args and kwargs. What it prints is the result, as JSON or as text where it is
    /// none; if it fails, the caller gets wamp.error.runtime_error
    #[arg(long, value_name = "COMMAND")]
    exec: Option<String>,

    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

/// Runs `call`.
pub(super) async fn call(args: CallArgs, interrupt: Interrupt) -> Result<ExitCode, Failure> {
    let CallArgs { procedure, sent, json, target } = args;
    within_session(&target, interrupt, Stopped::Undone, async |session, _| {
        let result = session.call(&procedure, sent.payload()).await?;
        let mut output = Output::new();
        if json {
            output.line(&text::json(&json!({"args": result.args, "kwargs": result.kwargs})))?;
            return Ok(ExitCode::SUCCESS);
        }
        for value in &result.args {
            match value.as_str() {
                Some(value) if output.is_terminal => output.line(&text::lines(value))?,
                Some(value) => output.line(value)?,
                None => output.line(&text::json(value))?,
            }
        }
        if !result.kwargs.is_empty() {
            output.line(&text::json(&result.kwargs))?;
        }
        Ok(ExitCode::SUCCESS)
    })
    .await
}

/// Runs `publish`.
pub(super) async fn publish(args: PublishArgs, interrupt: Interrupt) -> Result<ExitCode, Failure> {
    let PublishArgs { topic, sent, json, target } = args;
    within_session(&target, interrupt, Stopped::Undone, async |session, _| {
        let publication = session.publish(&topic, sent.payload()).await?;
        let mut output = Output::new();
        match json {
            true => output.line(&text::json(&json!({"topic": topic, "publication": publication})))?,
            false => output.line(&format!("published to {} as {publication}", text::word(&topic)))?,
        }
        Ok(ExitCode::SUCCESS)
    })
    .await
}

/// Runs `subscribe`.
pub(super) async fn subscribe(args: SubscribeArgs, interrupt: Interrupt) -> Result<ExitCode, Failure> {
    let SubscribeArgs { topic, matching, count, json, target } = args;
    within_session(&target, interrupt, Stopped::Done, async |session, mut happenings| {
        let word = match matching {
            Matching::Exact => "exact",
            Matching::Prefix => "prefix",
            Matching::Wildcard => "wildcard",
        };
        session.subscribe(&topic, word).await?;
        say(&format!("subscribed to {}; Ctrl-C ends it", text::word(&topic)));
        let mut output = Output::new();
        let mut seen = 0;
        while count.is_none_or(|count| seen < count) {
            if let Happening::Event(event) = happenings.next().await? {
                seen += 1;
                match &event.payload {
                    Ok(payload) => output.line(&shown(&event, payload, &topic, json))?,
                    Err(reason) => say(&format!("an event cannot be read: {reason}")),
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    })
    .await
}

fn shown(event: &Event, payload: &Payload, subscribed: &str, json: bool) -> String {
    let Event { publication, details, .. } = event;
    // The router tells the topic where it is not what was subscribed to.
    let topic = details.get("topic").and_then(Value::as_str).unwrap_or(subscribed);
    let now = SystemTime::now();
    if !json {
        return format!("{} {} {}", text::clock(now), text::word(topic), text::payload(payload));
    }
    text::json(&json!({
        "time": text::timestamp(now), "topic": topic, "publication": publication, "details": details,
        "args": payload.args, "kwargs": payload.kwargs,
    }))
}

/// Runs `register`.
pub(super) async fn register(args: RegisterArgs, interrupt: Interrupt) -> Result<ExitCode, Failure> {
    let RegisterArgs { procedure, exec, json, target } = args;
    within_session(&target, interrupt, Stopped::Done, async |session, mut happenings| {
        session.register(&procedure).await?;
        say(&format!("registered {}; Ctrl-C ends it", text::word(&procedure)));
        let mut output = Output::new();
        let mut answers = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some((request, payload, answer)) = answers.next() => {
                    let line = answered(&payload, &answer, json);
                    session.answer(request, answer);
                    output.line(&line)?;
                }
                happening = happenings.next(), if answers.len() < COMMANDS => {
                    if let Happening::Invocation(Invocation { request, payload }) = happening? {
                        let payload = match payload {
                            Ok(payload) => payload,
                            Err(reason) => {
                                say(&format!("a call cannot be read: {reason}"));
                                let told = Payload::of(vec![reason.into()]);
                                session.answer(request, Answer::Error("wamp.error.invalid_argument", told));
                                continue;
                            }
                        };
                        let exec = exec.as_deref();
                        answers.push(async move {
                            let answer = match exec {
                                Some(command) => execute(command, &payload).await,
                                None => Answer::Yield(payload.clone()),
                            };
                            (request, payload, answer)
                        });
                    }
                }
            }
        }
    })
    .await
}

fn answered(payload: &Payload, answer: &Answer, json: bool) -> String {
    let now = SystemTime::now();
    let (error, result) = match answer {
        Answer::Yield(result) => (None, result),
        Answer::Error(uri, result) => (Some(*uri), result),
    };
    if !json {
        let error = error.map(|uri| format!("{uri} ")).unwrap_or_default();
        return format!(
            "{} {} -> {error}{}",
            text::clock(now),
            text::payload(payload),
            text::payload(result)
        );
    }
    text::json(&json!({
        "time": text::timestamp(now), "args": payload.args, "kwargs": payload.kwargs, "error": error,
        "result": {"args": result.args, "kwargs": result.kwargs},
    }))
}

/// Has a command of the shell answer a call.
async fn execute(command: &str, payload: &Payload) -> Answer {
    let failed = |text: String| Answer::Error("wamp.error.runtime_error", Payload::of(vec![text.into()]));
    let ended = match output(command, payload).await {
        Ok(ended) => ended,
        Err(error) => return failed(format!("the command cannot be run: {error}")),
    };
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr);
        return failed(format!("{}: {}", ended.status, said.trim_end()));
    }
    let said = String::from_utf8_lossy(&ended.stdout);
    let Ok(value) = argument(said.trim_end_matches('\n'));
    Answer::Yield(Payload::of(vec![value]))
}

async fn output(command: &str, payload: &Payload) -> std::io::Result<Ended> {
    let args =
        payload.args.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    let mut child = process::Command::new("sh")
        .args(["-c", command, "realmkeeper"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let input = json!({"args": payload.args, "kwargs": payload.kwargs}).to_string();
    let stdin = child.stdin.take();
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A command need not read what it is given.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let ((), ended) = tokio::join!(feed, child.wait_with_output());
    ended
}
