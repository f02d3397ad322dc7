//! Calls per second. Each caller calls the procedure of its own callee, which sends the arguments back as
//! they came.
//!
//! An operation is a call: from the moment its CALL is written to the moment its RESULT was read and found to
//! hold what the call has sent. Calls without answer are lost, answers without call are duplicated.

use std::rc::Rc;

use clap::Args;
use serde::Serialize;

use super::bystanders::Bystanders;
use super::caller::Caller;
use super::client::{Client, Outgoing, RELAYED_REGISTRATION};
use super::decode::Message;
use super::failure::Failure;
use super::pace::Rate;
use super::router::{Side, Target};
use super::run::{Outcome, Roles, Run, Timing};

/// Callers and callees.
#[derive(Clone, Debug, Args, Serialize)]
pub(super) struct RpcArgs {
    #[command(flatten)]
    #[serde(flatten)]
    target: Target,
    #[command(flatten)]
    #[serde(flatten)]
    timing: Timing,
    /// Sessions that call.
    #[arg(long, default_value_t = 4, value_parser = super::count)]
    callers: usize,
    /// Sessions that are called; callers share them in turn if there are more callers.
    #[arg(long, default_value_t = 4, value_parser = super::count)]
    callees: usize,
    /// Calls that each caller has in flight.
    #[arg(long, default_value_t = 32, value_parser = super::count)]
    window: usize,
    #[command(flatten)]
    #[serde(flatten)]
    rate: Rate,
    #[command(flatten)]
    #[serde(flatten)]
    bystanders: Bystanders,
    /// Bytes of payload in each call and in each answer.
    #[arg(long, default_value_t = 128)]
    payload: usize,
    /// The server is a relay (`bench floor`).
    #[arg(long)]
    floor: bool,
}

/// Runs the benchmark.
pub(super) async fn run(args: &RpcArgs) -> Result<Outcome, Failure> {
    let RpcArgs { target, timing, callers, callees, window, rate, bystanders, payload, floor } = args;
    if *floor && callers > callees {
        return Err(Failure::Usage("a relay needs a callee for each caller"));
    }
    let router = target.router(*floor)?;
    let run = Run::new();
    let mut roles = Roles::new();
    bystanders.join(&router, &mut roles, callers + callees).await?;
    for number in 0..*callees {
        let procedure = procedure(number);
        let mut client = router.attach(&procedure, Side::B).await?;
        let registration = if *floor { RELAYED_REGISTRATION } else { client.register(&procedure).await? };
        roles.spawn_local(callee(client, Rc::clone(&run), registration, *floor));
    }
    let mut calls = Vec::new();
    for number in 0..*callers {
        let procedure = procedure(number % callees);
        let client = router.attach(&procedure, Side::A).await?;
        let mut caller = Caller::new(client, &run, *window, rate.pace(number, *callers));
        calls.push(Rc::clone(&caller.calls));
        let (text, floor) = ("x".repeat(*payload), *floor);
        roles.spawn_local(async move {
            let ask = |outgoing: &mut Outgoing| match floor {
                true => Some(outgoing.relayed_call(&text)),
                false => Some(outgoing.call(&procedure, &text)),
            };
            caller.call(ask, |request, result| result.payload(&text) == Ok(request)).await
        });
    }
    let interval = run.conduct(&mut roles, *callers, timing).await?;
    run.flaw(|flaws| flaws.lost = calls.iter().map(|calls| calls.borrow().len() as u64).sum());
    run.outcome(interval, timing.pid)
}

fn procedure(number: usize) -> String {
    format!("bench.rpc.{number}")
}

/// Answers calls for as long as it is let.
async fn callee(mut client: Client, run: Rc<Run>, registered: u64, floor: bool) -> Result<(), Failure> {
    loop {
        client.exchange().await?;
        while let Some(message) = client.incoming.next(&mut client.outgoing)? {
            let Message::Invocation { request, registration, arguments } = message else {
                return Err(Failure::unexpected(&message));
            };
            if registration != registered {
                run.flaw(|flaws| flaws.errors += 1);
            }
            match floor {
                true => client.outgoing.relayed_answer(request, arguments.raw()),
                false => client.outgoing.answer(request, arguments.raw()),
            }
        }
    }
}
