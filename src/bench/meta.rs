//! Calls of `wamp.session.list` per second, with sessions attached.
//!
//! An operation is a call. Its result must name each attached session and the caller once.

use std::collections::HashSet;
use std::rc::Rc;

use clap::Args;
use serde::Serialize;

use super::caller::Caller;
use super::client::Outgoing;
use super::decode::Reader;
use super::failure::Failure;
use super::pace::Rate;
use super::progress;
use super::router::Target;
use super::run::{Outcome, Roles, Run, Timing};

/// Sessions that are listed.
#[derive(Clone, Debug, Args, Serialize)]
pub(super) struct MetaArgs {
    #[command(flatten)]
    #[serde(flatten)]
    target: Target,
    #[command(flatten)]
    #[serde(flatten)]
    timing: Timing,
    /// Sessions that are attached, besides the one that calls.
    #[arg(long, default_value_t = 500, value_parser = super::count)]
    sessions: usize,
    /// Calls in flight.
    #[arg(long, default_value_t = 16, value_parser = super::count)]
    window: usize,
    #[command(flatten)]
    #[serde(flatten)]
    rate: Rate,
}

/// Runs the benchmark.
pub(super) async fn run(args: &MetaArgs) -> Result<Outcome, Failure> {
    let MetaArgs { target, timing, sessions, window, rate } = args;
    let router = target.router(false)?;
    let run = Run::new();
    let mut roles = Roles::new();
    let mut members = router.populate(&mut roles, &progress::count("joining", *sessions), *sessions).await?;
    let (client, own) = router.join().await?;
    members.push(own);
    let mut caller = Caller::new(client, &run, *window, rate.pace(0, 1));
    let calls = Rc::clone(&caller.calls);
    let mut list = List { members, checked: Vec::new() };
    roles.spawn_local(async move {
        let ask = |outgoing: &mut Outgoing| Some(outgoing.call_session_list());
        caller.call(ask, |_, result| list.is_correct(result)).await
    });
    let interval = run.conduct(&mut roles, 1, timing).await?;
    run.flaw(|flaws| flaws.lost = calls.borrow().len() as u64);
    run.outcome(interval, timing.pid)
}

/// The sessions that a list must name.
struct List {
    members: Vec<u64>,
    /// The last list that was found correct. Lists do not change here, so most equal it and need no closer
    /// look.
    checked: Vec<u8>,
}

impl List {
    fn is_correct(&mut self, result: Reader<'_>) -> bool {
        if result.raw() == self.checked {
            return true;
        }
        let Ok(ids) = result.ids() else { return false };
        let listed: HashSet<&u64> = ids.iter().collect();
        let correct = listed.len() == ids.len() && self.members.iter().all(|member| listed.contains(member));
        if correct {
            self.checked = result.raw().to_vec();
        }
        correct
    }
}

#[cfg(test)]
mod tests {
    use super::super::decode::Message;
    use super::*;
    use crate::client::Serializer;

    #[test]
    fn a_list_names_every_member_once() {
        let mut list = List { members: vec![1, 2], checked: Vec::new() };
        for (message, correct) in [
            ("[50,1,{},[[2,1]]]", true),
            ("[50,2,{},[[2,1]]]", true),
            ("[50,3,{},[[1,3,2]]]", true),
            ("[50,4,{},[[1,3]]]", false),
            ("[50,5,{},[[1,2,2]]]", false),
            ("[50,6,{},[[]]]", false),
            ("[50,7,{}]", false),
        ] {
            let Ok(Message::Result { arguments, .. }) = Message::decode(Serializer::Json, message.as_bytes())
            else {
                panic!("{message}")
            };
            assert_eq!(list.is_correct(arguments), correct, "{message}");
        }
    }
}
