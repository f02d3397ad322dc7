//! Roles and the features of the Advanced Profile that peers announce to each other in HELLO and WELCOME
//! (section "Feature Announcement").
//!
//! What a realm announces, in which role, and the transcript in `tests/transcripts` that shows it best:
//!
//! | feature | role | shown by |
//! |---|---|---|
//! | `call_canceling` | dealer | `a_cancel_ends_a_call_as_its_mode_says` |
//! | `call_reroute` | dealer | `another_callee_takes_over_for_one_that_is_unavailable` |
//! | `call_timeout` | dealer | `a_call_that_is_not_answered_in_time_ends` |
//! | `call_trustlevels` | dealer | `callees_are_told_how_far_a_caller_is_trusted` |
//! | `caller_identification` | dealer | `publisher_and_caller_are_disclosed_where_that_is_asked_for` |
//! | `event_history` | broker | `past_events_are_told_to_whoever_may_subscribe` |
//! | `event_retention` | broker | `a_retained_event_waits_for_later_subscribers` |
//! | `pattern_based_registration` | dealer | `a_registration_may_be_of_a_pattern` |
//! | `pattern_based_subscription` | broker | `patterns_match_by_prefix_and_by_component` |
//! | `payload_passthru_mode` | broker, dealer | `a_payload_that_only_the_endpoints_open_passes_through` |
//! | `progressive_call_invocations` | dealer | `arguments_may_come_in_parts` |
//! | `progressive_call_results` | dealer | `a_result_may_come_in_parts` |
//! | `publication_trustlevels` | broker | `subscribers_are_told_how_far_a_publisher_is_trusted` |
//! | `publisher_exclusion` | broker | `an_event_goes_to_every_subscriber_but_the_publisher` |
//! | `publisher_identification` | broker | `publisher_and_caller_are_disclosed_where_that_is_asked_for` |
//! | `registration_meta_api` | dealer | `registrations_are_listed_found_and_told_of` |
//! | `registration_revocation` | dealer | `a_callee_may_be_removed` |
//! | `session_meta_api` | broker, dealer | `session_get_tells_of_any_session_of_the_realm` |
//! | `shared_registration` | dealer | `a_procedure_may_have_several_callees` |
//! | `subscriber_blackwhite_listing` | broker | `a_publication_reaches_whom_its_lists_admit` |
//! | `subscription_meta_api` | broker | `a_subscription_is_announced_from_its_creation_to_its_end` |
//! | `subscription_revocation` | broker | `a_subscription_is_taken_away` |
//! | `testament_meta_api` | dealer | `a_testament_is_published_before_the_leave_is_announced` |
//!
//! `tests/features.rs` of the workspace holds the table to what WELCOME says.

use super::field::Field;
use crate::codec::{Kind, Raw, Writer};

macro_rules! features {
    ($($(#[$doc:meta])* $feature:ident = $name:literal),+ $(,)?) => {
        /// A feature of the Advanced Profile.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Feature {
            $($(#[$doc])* $feature),+
        }

        impl Feature {
            /// Every feature known here, whether it works here or not.
            pub const ALL: &'static [Self] = &[$(Self::$feature),+];

            /// Its name on the wire.
            pub fn name(self) -> &'static str {
                match self { $(Self::$feature => $name),+ }
            }
        }
    };
}

features! {
    /// Results in parts.
    ProgressiveCallResults = "progressive_call_results",
    /// Arguments in parts.
    ProgressiveCallInvocations = "progressive_call_invocations",
    /// Calls that end after a time.
    CallTimeout = "call_timeout",
    /// CANCEL and INTERRUPT.
    CallCanceling = "call_canceling",
    /// Another callee answers when one is unavailable.
    CallReroute = "call_reroute",
    /// Who calls, told to the callee.
    CallerIdentification = "caller_identification",
    /// How far a caller is trusted.
    CallTrustlevels = "call_trustlevels",
    /// `wamp.registration.*`.
    RegistrationMetaApi = "registration_meta_api",
    /// Registrations of prefixes and wildcards.
    PatternBasedRegistration = "pattern_based_registration",
    /// Several callees of one procedure.
    SharedRegistration = "shared_registration",
    /// UNREGISTERED unasked.
    RegistrationRevocation = "registration_revocation",
    /// `wamp.session.add_testament` and `flush_testaments`.
    TestamentMetaApi = "testament_meta_api",
    /// `wamp.session.*`.
    SessionMetaApi = "session_meta_api",
    /// Publications for some, or for all but some.
    SubscriberBlackwhiteListing = "subscriber_blackwhite_listing",
    /// The publisher is or is not among its receivers.
    PublisherExclusion = "publisher_exclusion",
    /// Who publishes, told to the subscribers.
    PublisherIdentification = "publisher_identification",
    /// How far a publisher is trusted.
    PublicationTrustlevels = "publication_trustlevels",
    /// `wamp.subscription.*`.
    SubscriptionMetaApi = "subscription_meta_api",
    /// Subscriptions to prefixes and wildcards.
    PatternBasedSubscription = "pattern_based_subscription",
    /// Past events.
    EventHistory = "event_history",
    /// The last event of a topic for new subscribers.
    EventRetention = "event_retention",
    /// UNSUBSCRIBED unasked.
    SubscriptionRevocation = "subscription_revocation",
    /// Payloads that only the endpoints can open.
    PayloadPassthruMode = "payload_passthru_mode",
}

/// A set of features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features(u32);

impl Features {
    /// The set of these features.
    pub const fn of(features: &[Feature]) -> Self {
        let mut set = 0;
        let mut rest = features;
        while let [feature, others @ ..] = rest {
            set |= 1 << *feature as u32;
            rest = others;
        }
        Self(set)
    }

    /// The others of them.
    pub fn without(self, feature: Feature) -> Self {
        Self(self.0 & !(1 << feature as u32))
    }

    /// Whether `feature` is in the set.
    pub fn contains(self, feature: Feature) -> bool {
        self.0 & 1 << feature as u32 != 0
    }

    fn read(raw: Raw<'_>) -> Option<Self> {
        let mut features = Self::default();
        for (name, value) in raw.entries()? {
            let name = name?;
            // The specification itself spells this one in two ways.
            let name = if name == "call_cancelling" { "call_canceling" } else { &name };
            let known = Feature::ALL.iter().find(|feature| feature.name() == name);
            if let (Some(feature), Some(true)) = (known, value.boolean()) {
                features.0 |= 1 << *feature as u32;
            }
        }
        Some(features)
    }

    fn write(self, writer: &mut Writer<'_>) {
        writer.dict(self.0.count_ones() as usize);
        for feature in Feature::ALL.iter().filter(|feature| self.contains(**feature)) {
            writer.key(feature.name());
            writer.boolean(true);
        }
        writer.end_dict();
    }
}

/// What a peer plays: the features of each of its roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// Calls procedures.
    pub caller: Option<Features>,
    /// Registers procedures.
    pub callee: Option<Features>,
    /// Publishes events.
    pub publisher: Option<Features>,
    /// Receives events.
    pub subscriber: Option<Features>,
    /// Routes events: the router.
    pub broker: Option<Features>,
    /// Routes calls: the router.
    pub dealer: Option<Features>,
}

impl Roles {
    /// Whether there is a role that a client can play.
    pub fn has_client(&self) -> bool {
        [self.caller, self.callee, self.publisher, self.subscriber].iter().any(Option::is_some)
    }

    fn each(&self) -> [(&'static str, Option<Features>); 6] {
        [
            ("caller", self.caller),
            ("callee", self.callee),
            ("publisher", self.publisher),
            ("subscriber", self.subscriber),
            ("broker", self.broker),
            ("dealer", self.dealer),
        ]
    }
}

impl Field for Roles {
    const EXPECTED: &'static str = "a dict of roles, each a dict that may hold a dict of features";

    fn read(raw: Raw<'_>) -> Option<Self> {
        let mut roles = Self::default();
        for (name, role) in raw.entries()? {
            let known = match &*name? {
                "caller" => &mut roles.caller,
                "callee" => &mut roles.callee,
                "publisher" => &mut roles.publisher,
                "subscriber" => &mut roles.subscriber,
                "broker" => &mut roles.broker,
                "dealer" => &mut roles.dealer,
                _ => continue,
            };
            let features = role.entries()?.find(|(key, _)| key.as_deref() == Some("features"));
            *known = Some(match features {
                Some((_, features)) if features.kind() != Kind::Null => Features::read(features)?,
                _ => Features::default(),
            });
        }
        Some(roles)
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.dict(self.each().iter().filter(|(_, features)| features.is_some()).count());
        for (name, features) in self.each() {
            let Some(features) = features else { continue };
            writer.key(name);
            if features == Features::default() {
                writer.dict(0);
            } else {
                writer.dict(1);
                writer.key("features");
                features.write(writer);
            }
            writer.end_dict();
        }
        writer.end_dict();
    }
}
