//! `sessions watch`: who joins and who leaves.

use super::{
    Interrupt,
    output::Output,
    roster::{self, Details, shown},
    say,
    target::Target,
    text,
};
use crate::client::{Event, Failure, Happening, Happenings, Payload, Peer, Session};
use anstyle::{AnsiColor, Style};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    pin::pin,
    process::ExitCode,
    time::{Duration, Instant, SystemTime},
};
use tokio::time::sleep;

/// How long it waits before it connects again: at first, and at most.
const DELAYS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Watches until it is told to stop, or until the router does not want it any more.
pub(super) async fn run(target: &Target, mut interrupt: Interrupt, json: bool) -> Result<ExitCode, Failure> {
    let peer = target.peer()?;
    let mut watch =
        Watch { output: Output::new(), json, known: BTreeMap::new(), has_begun: false, lost: None };
    let mut delay = DELAYS.0;
    loop {
        let mut session = None;
        let failure = tokio::select! {
            failure = watch.follow(&peer, &mut session, &mut delay) => failure,
            () = interrupt.come() => {
                if let Some(session) = session {
                    session.leave().await;
                }
                return Ok(ExitCode::SUCCESS);
            }
        };
        if !(watch.has_begun && may_pass(&failure)) {
            if let Some(session) = session {
                session.leave().await;
            }
            return Err(failure);
        }
        let (why, again) = (text::explained(&failure), humantime::format_duration(delay));
        say(&format!("realmkeeper: {why}; it is tried again in {again}"));
        watch.lost_connection(&why)?;
        tokio::select! {
            () = sleep(delay) => {}
            () = interrupt.come() => return Ok(ExitCode::SUCCESS),
        }
        delay = DELAYS.1.min(delay * 2);
    }
}

/// Whether there is hope that it works again later.
fn may_pass(failure: &Failure) -> bool {
    match failure {
        Failure::Connect { .. } | Failure::Lost { .. } | Failure::Silent { .. } => true,
        Failure::Refused(refused) => {
            matches!(refused.uri.as_str(), "wamp.close.system_shutdown" | "wamp.close.close_realm")
        }
        Failure::Usage(_) | Failure::Unexpected(_) | Failure::Revoked(_) | Failure::Output { .. } => false,
    }
}

/// Who is known to be there.
struct Watch {
    output: Output,
    json: bool,
    /// The sessions, and when this command saw them join.
    known: BTreeMap<u64, (Details, Option<Instant>)>,
    /// Whether it was ever told who is there.
    has_begun: bool,
    /// Since when there is no connection.
    lost: Option<Instant>,
}

impl Watch {
    /// Connects and tells what happens, until that fails.
    async fn follow(&mut self, peer: &Peer, current: &mut Option<Session>, delay: &mut Duration) -> Failure {
        let (session, mut happenings) = match Session::join(peer).await {
            Ok(joined) => joined,
            Err(failure) => return failure,
        };
        let session = current.insert(session);
        let Err(failure) = self.tell(session, &mut happenings, peer, delay).await;
        failure
    }

    async fn tell(
        &mut self,
        session: &Session,
        happenings: &mut Happenings,
        peer: &Peer,
        delay: &mut Duration,
    ) -> Result<Infallible, Failure> {
        let joins = session.subscribe("wamp.session.on_join", "exact").await?;
        session.subscribe("wamp.session.on_leave", "exact").await?;
        let mut listed = pin!(roster::all(session, &[]));
        let mut early = Vec::new();
        let there = loop {
            tokio::select! {
                there = &mut listed => break there?,
                happening = happenings.next() => early.push(happening?),
            }
        };
        let there = there.into_iter().filter(|details| details.session != session.id);
        self.begin(there.collect(), &peer.realm)?;
        *delay = DELAYS.0;
        for happening in early {
            self.take(happening, joins)?;
        }
        loop {
            self.take(happenings.next().await?, joins)?;
        }
    }

    /// `joins` is the subscription to who joins.
    fn take(&mut self, happening: Happening, joins: u64) -> Result<(), Failure> {
        let Happening::Event(Event { subscription, payload, .. }) = happening else { return Ok(()) };
        let payload = payload.map_err(Failure::Unexpected)?;
        if subscription == joins {
            self.joined(Details::read(payload.args.first())?, false)
        } else {
            self.left_by(payload)
        }
    }

    /// Takes who is there: what has changed since the last time, if there was one, is told.
    fn begin(&mut self, there: Vec<Details>, realm: &str) -> Result<(), Failure> {
        let now = SystemTime::now();
        let (number, realm) = (there.len(), text::word(realm));
        self.has_begun = true;
        let Some(lost) = self.lost.take() else {
            self.known = there.into_iter().map(|details| (details.session, (details, None))).collect();
            return match self.json {
                true => self.object(now, "connected", json!({"sessions": number})),
                false => {
                    let line = format!("{} watching {realm}, sessions: {number}", text::clock(now));
                    self.output.styled(Style::new().dimmed(), &line)
                }
            };
        };
        if self.json {
            self.object(now, "connected", json!({"sessions": number}))?;
        } else {
            let line = format!(
                "{} connected again after {}, sessions: {number}",
                text::clock(now),
                text::span(lost.elapsed())
            );
            self.output.styled(Style::new().dimmed(), &line)?;
        }
        let is_there = |id: &u64| there.iter().any(|details| details.session == *id);
        let mut gone: Vec<_> =
            self.known.values().filter(|(details, _)| !is_there(&details.session)).collect();
        gone.sort_by_cached_key(|(details, _)| details.who());
        let gone: Vec<u64> = gone.into_iter().map(|(details, _)| details.session).collect();
        for id in gone {
            self.left(id, Map::new(), true)?;
        }
        for details in there {
            self.joined(details, true)?;
        }
        Ok(())
    }

    fn lost_connection(&mut self, why: &str) -> Result<(), Failure> {
        if self.lost.is_none() {
            self.lost = Some(Instant::now());
            if self.json {
                self.object(SystemTime::now(), "disconnected", json!({"why": why}))?;
            }
        }
        Ok(())
    }

    /// One that joined, now or while there was no connection.
    fn joined(&mut self, details: Details, meanwhile: bool) -> Result<(), Failure> {
        let id = details.session;
        if self.known.contains_key(&id) {
            return Ok(());
        }
        let now = SystemTime::now();
        if self.json {
            let mut object = serde_json::to_value(&details).unwrap_or_default();
            object["meanwhile"] = meanwhile.into();
            self.object(now, "joined", object)?;
        } else {
            let line = format!(
                "{} joined {id} {} {} {}{}",
                text::clock(now),
                details.who(),
                details.peer(),
                details.connection(),
                if meanwhile { ", meanwhile" } else { "" }
            );
            self.output.styled(AnsiColor::Green.on_default(), &line)?;
        }
        self.known.insert(id, (details, (!meanwhile).then(Instant::now)));
        Ok(())
    }

    fn left_by(&mut self, Payload { args, kwargs }: Payload) -> Result<(), Failure> {
        match args.first().and_then(Value::as_u64) {
            Some(id) => self.left(id, kwargs, false),
            None => Err(Failure::unexpected("wamp.session.on_leave with", &args.into())),
        }
    }

    /// One that left; `told` is what the router tells of it beyond the specification, such as why.
    fn left(&mut self, id: u64, told: Map<String, Value>, meanwhile: bool) -> Result<(), Failure> {
        let Some((details, since)) = self.known.remove(&id) else {
            return Ok(());
        };
        let now = SystemTime::now();
        if self.json {
            let Details { authid, authrole, .. } = details;
            let left = json!({
                "session": id, "authid": authid, "authrole": authrole, "meanwhile": meanwhile, "told": told,
            });
            return self.object(now, "left", left);
        }
        let mut line = format!("{} left   {id} {}", text::clock(now), details.who());
        if meanwhile {
            line.push_str(", meanwhile");
        } else if let Some(since) = since {
            line.push_str(&format!(" after {}", text::span(since.elapsed())));
        }
        for (key, value) in &told {
            line.push_str(&format!(", {}: {}", text::word(key), shown(value)));
        }
        self.output.styled(AnsiColor::Yellow.on_default(), &line)
    }

    /// A line for programs.
    fn object(&mut self, time: SystemTime, event: &str, more: Value) -> Result<(), Failure> {
        let mut object = json!({"time": text::timestamp(time), "event": event});
        if let (Some(object), Value::Object(mut more)) = (object.as_object_mut(), more) {
            object.append(&mut more);
        }
        self.output.line(&text::json(&object))
    }
}
