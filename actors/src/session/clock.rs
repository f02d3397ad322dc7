//! When something is due in a session although nothing happens.

use super::SessionSettings;
use std::time::{Duration, Instant};

/// What happened when, as far as something can become due by it.
#[derive(Debug)]
pub(super) struct Clock {
    opened: Instant,
    /// When CHALLENGE was sent that AUTHENTICATE has not followed yet.
    challenged: Option<Instant>,
    /// When the client last showed that it is there.
    heard: Instant,
    /// When a ping was sent that nothing has followed yet.
    pinged: Option<Instant>,
    /// Since when the socket takes nothing although something waits.
    stalled: Option<Instant>,
    /// When the proof expires by which the client was let in.
    expiry: Option<Instant>,
}

/// How far a session is, as far as its clock minds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stage {
    /// It has not joined.
    Joining,
    /// It is a member of its realm.
    Joined,
    /// It has ended; the socket is shut at this time whatever the client does.
    Ending(Instant),
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The client has not joined in time.
    Handshake,
    /// The client has not answered CHALLENGE in time.
    Authentication,
    /// The client is silent: it is to be sent a ping.
    Ping,
    /// The client has not answered a ping in time.
    Pong,
    /// The client has taken nothing for too long.
    Stall,
    /// The proof expires by which the client was let in.
    Expiry,
    /// The client has not closed its side in time.
    Linger,
}

impl Clock {
    /// A session that begins.
    pub(super) fn new(now: Instant) -> Self {
        Self { opened: now, challenged: None, heard: now, pinged: None, stalled: None, expiry: None }
    }

    /// CHALLENGE is sent.
    pub(super) fn challenge(&mut self, now: Instant) {
        self.challenged = Some(now);
    }

    /// The client has answered CHALLENGE, or need not any more.
    pub(super) fn answered(&mut self) {
        self.challenged = None;
    }

    /// The client has shown that it is there.
    pub(super) fn hear(&mut self, now: Instant) {
        self.heard = now;
        self.pinged = None;
    }

    /// A ping is sent.
    pub(super) fn ping(&mut self, now: Instant) {
        self.pinged = Some(now);
    }

    /// The socket takes no more of what waits, though perhaps it took some.
    pub(super) fn stall(&mut self, took_some: bool, now: Instant) {
        if took_some || self.stalled.is_none() {
            self.stalled = Some(now);
        }
    }

    /// The socket has taken all that waited; the client is asked again whether it is there.
    pub(super) fn flow(&mut self, now: impl FnOnce() -> Instant) {
        if self.stalled.take().is_some() {
            self.hear(now());
        }
    }

    /// Waits anew for what the client owes: the router was held up, and has not looked yet whether it came.
    pub(super) fn wait_anew(&mut self, now: Instant) {
        for since in [&mut self.pinged, &mut self.stalled].into_iter().flatten() {
            *since = now;
        }
    }

    /// Whether the socket takes nothing although something waits.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.is_some()
    }

    /// The client is let in for so long from now.
    pub(super) fn expire(&mut self, now: Instant, left: Duration) {
        // What no clock can tell is never.
        self.expiry = now.checked_add(left);
    }

    /// What is due next, and when, if anything is.
    pub(super) fn due(&self, stage: Stage, settings: &SessionSettings) -> Option<(Instant, Due)> {
        let due = self.due_without_expiry(stage, settings);
        match (stage, self.expiry) {
            (Stage::Joined, Some(expiry)) if due.is_none_or(|(when, _)| expiry < when) => {
                Some((expiry, Due::Expiry))
            }
            _ => due,
        }
    }

    fn due_without_expiry(&self, stage: Stage, settings: &SessionSettings) -> Option<(Instant, Due)> {
        Some(match (stage, self.stalled, self.pinged) {
            (Stage::Joining, ..) => {
                let joined = (self.opened + settings.handshake_timeout, Due::Handshake);
                match self.challenged.map(|since| since + settings.authentication_timeout) {
                    Some(answered) if answered < joined.0 => (answered, Due::Authentication),
                    _ => joined,
                }
            }
            // What it takes is its sign of life: a ping would wait behind all that, and so would its pong.
            (Stage::Joined, Some(stalled), _) => (stalled + settings.write_stall, Due::Stall),
            (Stage::Joined, None, Some(pinged)) => (pinged + settings.ping_timeout, Due::Pong),
            (Stage::Joined, None, None) if !settings.pings => return None,
            (Stage::Joined, None, None) => (self.heard + settings.ping_interval, Due::Ping),
            (Stage::Ending(until), ..) => (until, Due::Linger),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> SessionSettings {
        SessionSettings {
            handshake_timeout: Duration::from_secs(10),
            authentication_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(8),
            write_stall: Duration::from_secs(12),
            ..SessionSettings::default()
        }
    }

    /// What is due, and how many seconds after `start`.
    fn due(clock: &Clock, stage: Stage, start: Instant) -> (u64, Due) {
        let (when, what) = clock.due(stage, &settings()).expect("something is due");
        ((when - start).as_secs(), what)
    }

    #[test]
    fn who_has_not_joined_has_so_long_and_to_answer_a_challenge_less() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut clock = Clock::new(start);
        assert_eq!(due(&clock, Stage::Joining, start), (10, Due::Handshake));
        clock.challenge(after(1));
        assert_eq!(due(&clock, Stage::Joining, start), (6, Due::Authentication));
        clock.challenge(after(7));
        assert_eq!(due(&clock, Stage::Joining, start), (10, Due::Handshake));
        clock.answered();
        assert_eq!(due(&clock, Stage::Joining, start), (10, Due::Handshake));
    }

    #[test]
    fn a_silent_client_is_asked_and_has_to_answer() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut clock = Clock::new(start);
        assert_eq!(due(&clock, Stage::Joined, start), (20, Due::Ping));
        clock.ping(after(20));
        assert_eq!(due(&clock, Stage::Joined, start), (28, Due::Pong));
        clock.hear(after(21));
        assert_eq!(due(&clock, Stage::Joined, start), (41, Due::Ping));
    }

    #[test]
    fn a_client_that_is_sent_no_pings_may_be_silent() {
        let settings = SessionSettings { pings: false, ..settings() };
        let start = Instant::now();
        let mut clock = Clock::new(start);
        assert_eq!(clock.due(Stage::Joined, &settings), None);
        assert_eq!(clock.due(Stage::Joining, &settings).map(|(_, due)| due), Some(Due::Handshake));
        clock.stall(false, start);
        assert_eq!(clock.due(Stage::Joined, &settings).map(|(_, due)| due), Some(Due::Stall));
    }

    #[test]
    fn a_client_that_takes_what_waits_is_not_asked_meanwhile() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut clock = Clock::new(start);
        clock.ping(after(20));
        clock.stall(false, after(21));
        assert_eq!(due(&clock, Stage::Joined, start), (33, Due::Stall));
        clock.stall(false, after(25));
        assert_eq!(due(&clock, Stage::Joined, start), (33, Due::Stall));
        clock.stall(true, after(30));
        assert_eq!(due(&clock, Stage::Joined, start), (42, Due::Stall));
        clock.flow(|| after(40));
        assert_eq!((clock.is_stalled(), due(&clock, Stage::Joined, start)), (false, (60, Due::Ping)));
        // Nothing had waited: that it flows says nothing of the client.
        clock.ping(after(60));
        clock.flow(|| after(61));
        assert_eq!(due(&clock, Stage::Joined, start), (68, Due::Pong));
        assert_eq!(due(&clock, Stage::Ending(after(3)), start), (3, Due::Linger));
    }

    #[test]
    fn what_is_waited_for_anew_is_due_later() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut clock = Clock::new(start);
        clock.wait_anew(after(1));
        assert_eq!(due(&clock, Stage::Joined, start), (20, Due::Ping));
        clock.ping(after(20));
        clock.wait_anew(after(40));
        assert_eq!(due(&clock, Stage::Joined, start), (48, Due::Pong));
        clock.stall(false, after(41));
        clock.wait_anew(after(60));
        assert_eq!(due(&clock, Stage::Joined, start), (72, Due::Stall));
    }

    #[test]
    fn a_member_is_let_in_for_so_long_whatever_it_does() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut clock = Clock::new(start);
        clock.expire(after(1), Duration::from_secs(24));
        assert_eq!(due(&clock, Stage::Joining, start), (10, Due::Handshake));
        assert_eq!(due(&clock, Stage::Joined, start), (20, Due::Ping));
        clock.hear(after(18));
        assert_eq!(due(&clock, Stage::Joined, start), (25, Due::Expiry));
        clock.stall(false, after(20));
        assert_eq!(due(&clock, Stage::Joined, start), (25, Due::Expiry));
        assert_eq!(due(&clock, Stage::Ending(after(30)), start), (30, Due::Linger));
        clock.expire(after(1), Duration::MAX);
        assert_eq!(due(&clock, Stage::Joined, start), (32, Due::Stall));
    }
}
