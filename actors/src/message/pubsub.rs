//! Messages of publish and subscribe (section "Publish and Subscribe").

use super::{
    field::{Sparse, message, options, packing, passthru, revocable},
    id::{PublicationId, RequestId, SessionId, SubscriptionId},
    uri::{Match, Uri},
};

message! {
    /// `[16, Request:id, Options:dict, Topic:uri, Arguments:list, ArgumentsKw:dict]`
    Publish = 16 "PUBLISH" {
        /// The publisher's request.
        request "Request": RequestId,
        /// For whom, and whether to answer.
        options "Options": Sparse<PublishOptions>,
        /// The topic.
        topic "Topic": Uri,
    } + payload
    /// `[17, PUBLISH.Request:id, Publication:id]`
    Published = 17 "PUBLISHED" {
        /// The request answered.
        request "PUBLISH.Request": RequestId,
        /// The publication.
        publication "Publication": PublicationId,
    }
    /// `[32, Request:id, Options:dict, Topic:uri]`
    Subscribe = 32 "SUBSCRIBE" {
        /// The subscriber's request.
        request "Request": RequestId,
        /// How the topic matches.
        options "Options": SubscribeOptions,
        /// The topic or the pattern of topics.
        topic "Topic": Uri,
    }
    /// `[33, SUBSCRIBE.Request:id, Subscription:id]`
    Subscribed = 33 "SUBSCRIBED" {
        /// The request answered.
        request "SUBSCRIBE.Request": RequestId,
        /// The subscription.
        subscription "Subscription": SubscriptionId,
    }
    /// `[34, Request:id, Subscription:id]`
    Unsubscribe = 34 "UNSUBSCRIBE" {
        /// The subscriber's request.
        request "Request": RequestId,
        /// The subscription to end.
        subscription "Subscription": SubscriptionId,
    }
    /// `[36, Subscription:id, Publication:id, Details:dict, Arguments:list, ArgumentsKw:dict]`
    Event = 36 "EVENT" {
        /// The subscription that matched.
        subscription "Subscription": SubscriptionId,
        /// The publication.
        publication "Publication": PublicationId,
        /// What is said about it.
        details "Details": Sparse<EventDetails>,
    } + payload
}

revocable! {
    /// `[35, UNSUBSCRIBE.Request:id]`, or `[35, 0, Details:dict]` where the router ended it.
    Unsubscribed = 35 "UNSUBSCRIBED" "UNSUBSCRIBE.Request": UnsubscribedDetails
}

options! {
    /// PUBLISH.Options.
    PublishOptions {
        /// Whether PUBLISHED or ERROR is to answer; absent: no.
        acknowledge: bool,
        /// Whether the publisher is left out; absent: yes.
        exclude_me: bool,
        /// Whether subscribers learn who publishes.
        disclose_me: bool,
        /// Sessions that do not receive it.
        exclude: Vec<SessionId>,
        /// Authids that do not receive it.
        exclude_authid: Vec<Box<str>>,
        /// Authroles that do not receive it.
        exclude_authrole: Vec<Box<str>>,
        /// The only sessions that receive it.
        eligible: Vec<SessionId>,
        /// The only authids that receive it.
        eligible_authid: Vec<Box<str>>,
        /// The only authroles that receive it.
        eligible_authrole: Vec<Box<str>>,
        /// Whether the event is kept for later subscribers.
        retain: bool,
        /// The key of a shard.
        rkey: Box<str>,
        /// Payload passthru: the scheme.
        ppt_scheme: Box<str>,
        /// Payload passthru: the serializer inside.
        ppt_serializer: Box<str>,
        /// Payload passthru: the cipher.
        ppt_cipher: Box<str>,
        /// Payload passthru: the key.
        ppt_keyid: Box<str>,
    }
    /// SUBSCRIBE.Options.
    SubscribeOptions {
        /// How the topic matches; absent: exact.
        r#match: Match,
        /// Whether the retained event is wanted.
        get_retained: bool,
        /// The key of a shard.
        nkey: Box<str>,
    }
    /// EVENT.Details.
    EventDetails {
        /// The session that published, if disclosed.
        publisher: SessionId,
        /// Its authid.
        publisher_authid: Box<str>,
        /// Its authrole.
        publisher_authrole: Box<str>,
        /// The topic published to, for a subscription to a pattern.
        topic: Uri,
        /// How far the publisher is trusted.
        trustlevel: u64,
        /// Whether the event was kept from before.
        retained: bool,
        /// Payload passthru: the scheme.
        ppt_scheme: Box<str>,
        /// Payload passthru: the serializer inside.
        ppt_serializer: Box<str>,
        /// Payload passthru: the cipher.
        ppt_cipher: Box<str>,
        /// Payload passthru: the key.
        ppt_keyid: Box<str>,
    }
    /// UNSUBSCRIBED.Details.
    UnsubscribedDetails {
        /// The subscription that ended.
        subscription: SubscriptionId,
        /// Why.
        reason: Box<str>,
    }
}

passthru! {
    PublishOptions "PUBLISH.Options"
}

packing! {
    PublishOptions => EventDetails
}

impl EventDetails {
    /// How much text it holds.
    pub(crate) fn octets(&self) -> usize {
        let texts = [
            &self.publisher_authid,
            &self.publisher_authrole,
            &self.ppt_scheme,
            &self.ppt_serializer,
            &self.ppt_cipher,
            &self.ppt_keyid,
        ];
        texts.into_iter().flatten().map(|text| text.len()).sum::<usize>()
            + self.topic.as_ref().map_or(0, |topic| topic.len())
    }
}
