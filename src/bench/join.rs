//! Sessions that join and leave, as many per second as the server lets them, and what an observer is told of
//! them.
//!
//! An operation is the whole life of a session: connect, opening handshake, HELLO, WELCOME, GOODBYE, GOODBYE.
//! The observer subscribes to `wamp.session.on_join` and `wamp.session.on_leave`. When all is over, each
//! session must have been announced by one of each, in this order: a missing one counts as lost, a second one
//! as duplicated, on_leave before on_join as out of order. Sessions of other clients are not looked at.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use tokio::time::sleep;

use super::client::Client;
use super::decode::Message;
use super::failure::Failure;
use super::router::{Router, Target};
use super::run::{Flaws, Outcome, Roles, Run, Timing};

/// How long the observer may be behind the last session that has left.
const LAG: Duration = Duration::from_secs(5);

/// Sessions that join and leave.
#[derive(Clone, Debug, Args, Serialize)]
pub(super) struct JoinArgs {
    #[command(flatten)]
    #[serde(flatten)]
    target: Target,
    #[command(flatten)]
    #[serde(flatten)]
    timing: Timing,
    /// Sessions that are joining or leaving at any moment.
    #[arg(long, default_value_t = 16, value_parser = super::count)]
    concurrency: usize,
}

/// Runs the benchmark.
pub(super) async fn run(args: &JoinArgs) -> Result<Outcome, Failure> {
    let JoinArgs { target, timing, concurrency } = args;
    let router = target.router(false)?;
    let run = Run::new();
    let sessions = Rc::new(RefCell::new(Sessions::default()));
    let mut roles = Roles::new();
    let (mut client, _) = router.join().await?;
    let on_join = client.subscribe("wamp.session.on_join").await?;
    let on_leave = client.subscribe("wamp.session.on_leave").await?;
    roles.spawn_local(observe(client, Rc::clone(&run), Rc::clone(&sessions), on_join, on_leave));
    for _ in 0..*concurrency {
        roles.spawn_local(come_and_go(router.clone(), Rc::clone(&run), Rc::clone(&sessions)));
    }
    let interval = run.conduct(&mut roles, *concurrency, timing).await?;
    let patience = Instant::now() + LAG;
    while sessions.borrow().flaws().lost > 0 && Instant::now() < patience {
        sleep(Duration::from_millis(20)).await;
    }
    run.flaw(|flaws| *flaws = Flaws { errors: flaws.errors, ..sessions.borrow().flaws() });
    run.outcome(interval, timing.pid)
}

/// Joins and leaves until the run is over.
async fn come_and_go(router: Router, run: Rc<Run>, sessions: Rc<RefCell<Sessions>>) -> Result<(), Failure> {
    while !run.is_over() {
        let start = Instant::now();
        let (client, session) = router.join().await?;
        sessions.borrow_mut().entry(session).own = true;
        client.leave().await?;
        run.complete(start.elapsed());
    }
    Ok(())
}

/// Takes note of announcements for as long as it is let.
async fn observe(
    mut client: Client,
    run: Rc<Run>,
    sessions: Rc<RefCell<Sessions>>,
    on_join: u64,
    on_leave: u64,
) -> Result<(), Failure> {
    loop {
        client.exchange().await?;
        while let Some(message) = client.incoming.next(&mut client.outgoing)? {
            let Message::Event { subscription, arguments } = message else {
                return Err(Failure::unexpected(&message));
            };
            let mut sessions = sessions.borrow_mut();
            match (arguments.uint_under("session"), arguments.id()) {
                (Ok(session), _) if subscription == on_join => sessions.entry(session).joins += 1,
                (_, Ok(session)) if subscription == on_leave => sessions.entry(session).leave(),
                _ => run.flaw(|flaws| flaws.errors += 1),
            }
        }
    }
}

/// Sessions by id, with what was announced of them.
#[derive(Debug, Default)]
struct Sessions(HashMap<u64, Announced>);

#[derive(Debug, Default)]
struct Announced {
    /// Whether it is a session of this benchmark.
    own: bool,
    joins: u64,
    leaves: u64,
    left_first: bool,
}

impl Announced {
    fn leave(&mut self) {
        self.leaves += 1;
        self.left_first |= self.joins == 0;
    }
}

impl Sessions {
    fn entry(&mut self, session: u64) -> &mut Announced {
        self.0.entry(session).or_default()
    }

    /// What is wrong, if nothing more comes.
    fn flaws(&self) -> Flaws {
        let mut flaws = Flaws::default();
        for announced in self.0.values().filter(|announced| announced.own) {
            for times in [announced.joins, announced.leaves] {
                flaws.lost += 1_u64.saturating_sub(times);
                flaws.duplicated += times.saturating_sub(1);
            }
            flaws.out_of_order += u64::from(announced.left_first && announced.joins > 0);
        }
        flaws
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_session_must_be_announced_once_and_in_order() {
        check("jl", [0, 0, 0]);
        check("j", [1, 0, 0]);
        check("", [2, 0, 0]);
        check("l", [1, 0, 0]);
        check("lj", [0, 0, 1]);
        check("jjl", [0, 1, 0]);
        check("jll", [0, 1, 0]);
        check("ljll", [0, 2, 1]);
    }

    fn check(announced: &str, lost_duplicated_out_of_order: [u64; 3]) {
        let mut sessions = Sessions::default();
        sessions.entry(1).own = true;
        for announcement in announced.chars() {
            for session in [1, 2] {
                match announcement {
                    'j' => sessions.entry(session).joins += 1,
                    _ => sessions.entry(session).leave(),
                }
            }
        }
        let Flaws { lost, duplicated, out_of_order, .. } = sessions.flaws();
        assert_eq!([lost, duplicated, out_of_order], lost_duplicated_out_of_order, "{announced:?}");
    }
}
