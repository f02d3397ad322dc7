//! Text for people: what others say without what a terminal would obey, and what an error means.

use crate::client::{Failure, Payload, Refused};
use serde::Serialize;
use std::{
    fmt::Write,
    time::{Duration, SystemTime},
};

/// Whether a terminal would not show a character, but do something: control characters, and those that change the
/// direction of text or take no room.
fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// A name in one word: as it is if it can be read so, else in quotes.
pub(super) fn word(text: &str) -> String {
    let is_plain = |letter: char| !(letter.is_whitespace() || is_unseen(letter) || letter == '"');
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    let mut quoted = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter != ' ' && !is_plain(letter) => quoted.extend(letter.escape_default()),
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// Text of several lines: only what a terminal would obey is escaped.
pub(super) fn lines(text: &str) -> String {
    escaped(text, |letter| is_unseen(letter) && !matches!(letter, '\n' | '\t'))
}

/// Text that has to be one line.
fn line(text: &str) -> String {
    escaped(text, is_unseen)
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_escaped(letter) {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// JSON on one line, in which everything that a terminal would obey is escaped as JSON does it.
pub(super) fn json(value: &impl Serialize) -> String {
    // What is shown here has only keys that are text.
    let text = serde_json::to_string(value).unwrap_or_default();
    if !text.contains(is_unseen) {
        return text;
    }
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_unseen(letter) {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                // Writing to a text cannot fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// Arguments on one line.
pub(super) fn payload(payload: &Payload) -> String {
    match (payload.args.is_empty(), payload.kwargs.is_empty()) {
        (_, true) => json(&payload.args),
        (true, false) => json(&payload.kwargs),
        (false, false) => format!("{} {}", json(&payload.args), json(&payload.kwargs)),
    }
}

/// The time of day, in UTC.
pub(super) fn clock(time: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(time).to_string();
    text.split_once('T').map(|(_, time)| time.to_owned()).unwrap_or(text)
}

/// A point in time for programs.
pub(super) fn timestamp(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

/// How long something took, in at most two units.
pub(super) fn span(span: Duration) -> String {
    let text = humantime::format_duration(Duration::from_secs(span.as_secs())).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// What an error means, on one line.
pub(super) fn explained(failure: &Failure) -> String {
    line(&if let Failure::Refused(refused) = failure { refusal(refused) } else { failure.to_string() })
}

fn refusal(refused: &Refused) -> String {
    let Refused { what, uri, told, keywords } = refused;
    let mut text = match meaning(uri, what) {
        Some(meaning) => format!("{what}: {meaning} ({uri})"),
        None => format!("{what}: {uri}"),
    };
    for told in told {
        text.push_str(": ");
        text.push_str(&told.as_str().map_or_else(|| told.to_string(), str::to_owned));
    }
    if !keywords.is_empty() {
        text.push_str(&format!(": {}", json(keywords)));
    }
    text
}

/// What the reason of a refusal means, if it is one of the protocol or of this router.
fn meaning(uri: &str, what: &str) -> Option<&'static str> {
    Some(match uri {
        "wamp.close.close_realm" => "the realm is closed",
        "wamp.close.normal" => "without a reason of its own",
        "wamp.close.killed" => "somebody ended it",
        "wamp.close.system_shutdown" => "the router stops",
        "wamp.error.authentication_denied" => "what should prove the authid is not right",
        "wamp.error.authentication_failed" => "the router could not find out who this is",
        "wamp.error.authentication_required" => "nobody may join anonymously; say who you are with --authid",
        "wamp.error.authorization_failed" => "the router could not find out whether it is allowed",
        "wamp.error.canceled" => "the call was canceled, or its callee left",
        "wamp.error.feature_not_supported" => "the callee cannot do it",
        "wamp.error.invalid_argument" => "the arguments are not what is expected",
        "wamp.error.invalid_uri" => "the router does not take such a URI",
        "wamp.error.network_failure" => "the network of the router failed",
        "wamp.error.no_available_callee" | "wamp.error.unavailable" => "no callee is available",
        "wamp.error.no_matching_auth_method" | "wamp.error.no_auth_method" => {
            "the router takes no proof of the kind that is offered"
        }
        "wamp.error.no_such_principal" => "the router does not know the authid",
        "wamp.error.no_such_procedure" if what.starts_with("cannot call wamp.") => {
            "the router does not offer it"
        }
        "wamp.error.no_such_procedure" => "nobody has registered it",
        "wamp.error.no_such_realm" => "the router has no such realm",
        "wamp.error.no_such_role" => "the router has no such role",
        "wamp.error.no_such_session" => "there is no such session",
        "wamp.error.not_authorized" => "not allowed",
        "wamp.error.option_not_allowed" | "wamp.error.option_disallowed.disclose_me" => {
            "an option is not allowed"
        }
        "wamp.error.payload_size_exceeded" => "too large",
        "wamp.error.procedure_already_exists" => "somebody has registered it",
        "wamp.error.protocol_violation" => "the router finds fault with what this program said",
        "wamp.error.runtime_error" => "the callee failed",
        "wamp.error.timeout" => "it took too long",
        "realmkeeper.close.slow_consumer" => "this program reads too slowly",
        "realmkeeper.error.internal" => "a fault of the router",
        "realmkeeper.error.limit_exceeded" => "a limit of the router is reached",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json as value};

    #[test]
    fn a_name_is_one_word_that_a_terminal_only_shows() {
        for (name, shown) in [
            ("alice", "alice"),
            ("a.b@example.com", "a.b@example.com"),
            ("日本語", "日本語"),
            ("a\\b", "a\\b"),
            ("", r#""""#),
            ("alice backend", r#""alice backend""#),
            ("say \"\\\"", r#""say \"\\\"""#),
            ("\x1b]0;title\x07", r#""\u{1b}]0;title\u{7}""#),
            ("\u{9b}2J", r#""\u{9b}2J""#),
            ("a\r\nb\t", r#""a\r\nb\t""#),
            ("\u{202e}ecila", r#""\u{202e}ecila""#),
            ("a\u{200b}\u{e0041}", r#""a\u{200b}\u{e0041}""#),
            ("a\u{a0}b", r#""a\u{a0}b""#),
        ] {
            assert_eq!(word(name), shown);
        }
    }

    #[test]
    fn json_stays_the_same_and_is_only_shown() {
        let original = value!({"a": "\x1b[2J\u{9b}2J\u{7f}\u{202e}\u{e0041}é\n"});
        let shown = json(&original);
        assert_eq!(shown, r#"{"a":"\u001b[2J\u009b2J\u007f\u202e\udb40\udc41é\n"}"#);
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), original);
    }

    #[test]
    fn text_keeps_its_lines_but_nothing_that_a_terminal_obeys() {
        let text = "a\tb\n\x1b[31mred\r";
        assert_eq!(lines(text), "a\tb\n\\u{1b}[31mred\\r");
        assert_eq!(line(text), "a\\tb\\n\\u{1b}[31mred\\r");
    }

    #[test]
    fn a_span_has_two_units_at_most() {
        let seconds = |seconds| span(Duration::from_secs(seconds));
        assert_eq!([seconds(0), seconds(59), seconds(192), seconds(3_661)], ["0s", "59s", "3m 12s", "1h 1m"]);
    }
}
