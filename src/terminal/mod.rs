//! The commands that speak to a router as any client does: `sessions`, `call`, `publish`, `subscribe`, `register`.
//!
//! The exit code is 0 if what was asked for is done, 1 if the router or a callee said no, and 2 if it could not be
//! asked: bad usage, no connection, no answer. What a router or another client says is shown by [`text`], so that
//! nobody can write escape sequences to the terminal of who looks.

mod messages;
mod output;
mod roster;
mod sessions;
mod table;
mod target;
mod text;
mod watch;

pub use messages::{CallArgs, PublishArgs, RegisterArgs, SubscribeArgs};
pub use sessions::SessionsArgs;

use crate::client::{Failure, Happenings, Session};
use std::{
    io::{self, Write},
    process::ExitCode,
};
use target::Target;
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
};

/// The router, or a callee, said no.
const REFUSED: u8 = 1;
/// What was asked for could not be done.
const UNDONE: u8 = 2;

/// What ends the help of each command.
const EXIT_CODES: &str = "Exit codes: 0 it is done; 1 the router or a callee said no; 2 it could not be asked (bad usage, \
                          no connection, no answer)";

/// A command that speaks to a router.
#[derive(Debug)]
pub enum Command {
    /// `sessions`
    Sessions(SessionsArgs),
    /// `call`
    Call(CallArgs),
    /// `publish`
    Publish(PublishArgs),
    /// `subscribe`
    Subscribe(SubscribeArgs),
    /// `register`
    Register(RegisterArgs),
}

/// Runs a command.
pub fn run(command: Command) -> ExitCode {
    let ran = runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::from).and_then(
        |runtime| {
            let ran = runtime.block_on(dispatch(command));
            // Somebody may still be asked something, which can no longer matter.
            runtime.shutdown_background();
            ran
        },
    );
    match ran {
        Ok(code) => code,
        // Whoever closed the output does not want to read it.
        Err(Failure::Output { is_closed: true, .. }) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&format!("realmkeeper: {}", text::explained(&failure)));
            ExitCode::from(match failure {
                Failure::Refused(_) | Failure::Revoked(_) => REFUSED,
                Failure::Usage(_)
                | Failure::Connect { .. }
                | Failure::Lost { .. }
                | Failure::Silent { .. }
                | Failure::Unexpected(_)
                | Failure::Output { .. } => UNDONE,
            })
        }
    }
}

async fn dispatch(command: Command) -> Result<ExitCode, Failure> {
    let interrupt = Interrupt::new()?;
    match command {
        Command::Sessions(args) => sessions::run(args, interrupt).await,
        Command::Call(args) => messages::call(args, interrupt).await,
        Command::Publish(args) => messages::publish(args, interrupt).await,
        Command::Subscribe(args) => messages::subscribe(args, interrupt).await,
        Command::Register(args) => messages::register(args, interrupt).await,
    }
}

/// Tells a person something that is no output.
fn say(text: &str) {
    // There is nobody else to tell.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether the command is told to stop: Ctrl-C, or SIGTERM.
#[derive(Debug)]
struct Interrupt {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupt {
    fn new() -> Result<Self, Failure> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn come(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// How a command ends that is told to stop.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stopped {
    /// It has done what it should: it would have gone on for ever.
    Done,
    /// It has not.
    Undone,
}

/// Joins, works, and leaves, whatever comes of the work.
async fn within_session(
    target: &Target,
    mut interrupt: Interrupt,
    stopped: Stopped,
    work: impl AsyncFnOnce(&Session, Happenings) -> Result<ExitCode, Failure>,
) -> Result<ExitCode, Failure> {
    let peer = target.peer()?;
    let (session, happenings) = tokio::select! {
        joined = Session::join(&peer) => joined?,
        () = interrupt.come() => return Ok(ExitCode::from(UNDONE)),
    };
    let outcome = tokio::select! {
        outcome = work(&session, happenings) => outcome,
        () = interrupt.come() => Ok(match stopped {
            Stopped::Done => ExitCode::SUCCESS,
            Stopped::Undone => ExitCode::from(UNDONE),
        }),
    };
    session.leave().await;
    outcome
}
