//! A topic of a benchmark: a publisher that keeps a window of publications under way, and subscribers that look at what
//! they get. Where several publish to the same topic, each counts for itself, and their publications are told apart by
//! the numbers that they carry.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::sleep;

use super::client::{Client, RELAYED_SUBSCRIPTION};
use super::decode::{Malformed, Message, Reader};
use super::failure::Failure;
use super::order::Sequence;
use super::pace::Pace;
use super::router::{Router, Side};
use super::run::{Flaws, Roles, Run};

/// How long a full window may stand still before its publications are given up and the next are sent. Those that
/// come all the same count, as late as they are.
const STALL: Duration = Duration::from_secs(1);

/// What a publisher and its subscribers know of each other.
pub(super) struct Topic {
    name: String,
    text: String,
    /// Which of the publishers to the topic this is, and how many they are.
    place: (u64, u64),
    /// How many publications there are to be.
    limit: u64,
    sequences: RefCell<Vec<Sequence>>,
    window: RefCell<Window>,
    /// Tells the publisher that the window has room.
    room: Notify,
}

/// Publications that some subscriber has not seen yet. Subscribers see them in order, so the oldest is the
/// first to go. Those that were given up stay known, but take no room.
#[derive(Debug, Default)]
struct Window {
    /// How many publications there were.
    published: u64,
    open: VecDeque<Publication>,
    /// How many publications there were when some were given up.
    given_up: u64,
}

#[derive(Debug)]
struct Publication {
    since: Instant,
    unseen: usize,
}

impl Topic {
    /// A topic without an end.
    pub(super) fn new(name: String, text: String, subscribers: usize) -> Self {
        Self::limited(name, text, subscribers, u64::MAX)
    }

    /// A topic to which so much is published.
    pub(super) fn limited(name: String, text: String, subscribers: usize, limit: u64) -> Self {
        let sequences = RefCell::new((0..subscribers).map(|_| Sequence::default()).collect());
        Self { name, text, place: (0, 1), limit, sequences, window: RefCell::default(), room: Notify::new() }
    }

    /// The same for each of so many publishers to one topic.
    pub(super) fn for_each_of(
        publishers: usize,
        name: &str,
        text: &str,
        subscribers: usize,
    ) -> Vec<Rc<Self>> {
        let publishers = publishers as u64;
        let topic = |place| Self {
            place: (place, publishers),
            ..Self::new(name.to_owned(), text.to_owned(), subscribers)
        };
        (0..publishers).map(|place| Rc::new(topic(place))).collect()
    }

    /// How many publications there were.
    pub(super) fn published(&self) -> u64 {
        self.window.borrow().published
    }

    /// Adds what went wrong, if nothing more comes.
    pub(super) fn add_flaws(&self, flaws: &mut Flaws) {
        for sequence in self.sequences.borrow().iter() {
            flaws.lost += sequence.lost(self.published());
            flaws.duplicated += sequence.duplicated;
            flaws.out_of_order += sequence.out_of_order;
        }
    }

    /// Connects and subscribes; returns the subscription as well.
    pub(super) async fn subscribe(&self, router: &Router) -> Result<(Client, u64), Failure> {
        let mut client = router.attach(&self.name, Side::B).await?;
        let subscription = match router.is_relay {
            true => RELAYED_SUBSCRIPTION,
            false => client.subscribe(&self.name).await?,
        };
        Ok((client, subscription))
    }

    /// Adds a subscriber that takes the events of all publishers to a topic for as long as it is let.
    pub(super) async fn spawn_subscriber(
        publishers: &[Rc<Self>],
        router: &Router,
        run: &Rc<Run>,
        roles: &mut Roles,
        number: usize,
    ) -> Result<(), Failure> {
        let Some(topic) = publishers.first() else { return Ok(()) };
        let (client, subscription) = topic.subscribe(router).await?;
        roles.spawn_local(take(client, Rc::clone(run), publishers.to_vec(), number, subscription));
        Ok(())
    }

    /// Adds the publisher.
    pub(super) async fn spawn_publisher(
        self: &Rc<Self>,
        router: &Router,
        run: &Rc<Run>,
        roles: &mut Roles,
        window: usize,
        pace: Pace,
    ) -> Result<(), Failure> {
        let client = router.attach(&self.name, Side::A).await?;
        let publisher = Publisher { client, run: Rc::clone(run), topic: Rc::clone(self), window, pace };
        roles.spawn_local(publisher.publish(router.is_relay));
        Ok(())
    }

    /// Takes note that a subscriber has got a publication; gives whether there is one of this number.
    fn see(&self, number: u64, subscriber: usize, now: Instant, run: &Run) -> bool {
        let mut window = self.window.borrow_mut();
        if number >= window.published {
            return false;
        }
        let passed = self.sequences.borrow_mut()[subscriber].see(number);
        // Those that were passed over are lost to this subscriber and no longer waited for.
        for number in number + 1 - passed..number {
            window.see(number);
        }
        if passed > 0
            && let Some(since) = window.see(number)
        {
            run.complete(now - since);
        }
        true
    }

    /// The number that the publication carries whose arguments these are.
    pub(super) fn number(&self, arguments: Reader<'_>) -> Result<u64, Malformed> {
        arguments.payload(&self.text)
    }
}

impl Window {
    /// The number of the oldest publication that is known, or of the next one if none is.
    fn first(&self) -> u64 {
        self.published - self.open.len() as u64
    }

    /// The number of the oldest publication that takes room, or of the next one if none does.
    fn oldest(&self) -> u64 {
        self.first().max(self.given_up)
    }

    /// How many publications take room.
    fn under_way(&self) -> usize {
        (self.published - self.oldest()) as usize
    }

    /// Waits no longer for what is under way.
    fn give_up(&mut self) {
        self.given_up = self.published;
    }

    /// Takes note of a publication; returns its number.
    fn publish(&mut self, now: Instant, subscribers: usize) -> u64 {
        self.open.push_back(Publication { since: now, unseen: subscribers });
        self.published += 1;
        self.published - 1
    }

    /// Takes note that one more subscriber has seen a publication, or will never see it. Returns when it was
    /// sent, or nothing if all have seen it.
    fn see(&mut self, number: u64) -> Option<Instant> {
        let at = usize::try_from(number.checked_sub(self.first())?).ok()?;
        let publication = self.open.get_mut(at)?;
        publication.unseen -= 1;
        let since = publication.since;
        while self.open.front().is_some_and(|publication| publication.unseen == 0) {
            self.open.pop_front();
        }
        Some(since)
    }
}

/// A session that publishes, and sends nothing else.
struct Publisher {
    client: Client,
    run: Rc<Run>,
    topic: Rc<Topic>,
    /// How many publications may be under way.
    window: usize,
    pace: Pace,
}

impl Publisher {
    /// Publishes as often as pace and window let it until the run is over or all is published, then waits until
    /// all is seen.
    async fn publish(mut self, is_relayed: bool) -> Result<(), Failure> {
        let mut stalled = std::pin::pin!(sleep(STALL));
        let mut oldest_at_last_check = None;
        loop {
            let now = Instant::now();
            let has_more = self.fill_window(now, is_relayed);
            let Self { client, run, topic, window: size, pace } = &mut self;
            let under_way = topic.window.borrow().under_way();
            if !has_more && under_way == 0 {
                run.fall_behind(pace);
                return Ok(());
            }
            tokio::select! {
                () = topic.room.notified() => {}
                () = pace.due(run), if has_more && under_way < *size => {}
                received = client.exchange() => {
                    received?;
                    if let Some(message) = client.incoming.next(&mut client.outgoing)? {
                        return Err(Failure::unexpected(&message));
                    }
                }
                () = &mut stalled => {
                    let mut window = topic.window.borrow_mut();
                    let is_waited_for = under_way >= *size || !has_more;
                    let oldest = (is_waited_for && under_way > 0).then(|| window.oldest());
                    if oldest.is_some() && oldest == oldest_at_last_check {
                        window.give_up();
                    }
                    oldest_at_last_check = oldest;
                    stalled.as_mut().reset(tokio::time::Instant::now() + STALL);
                }
            }
        }
    }

    /// Publishes as often as pace and window let it; returns whether there is more to publish.
    fn fill_window(&mut self, now: Instant, is_relayed: bool) -> bool {
        let Self { client, run, topic, window: size, pace } = self;
        let subscribers = topic.sequences.borrow().len();
        let mut window = topic.window.borrow_mut();
        let has_more = |window: &Window| !run.is_over() && window.published < topic.limit;
        while has_more(&window)
            && window.under_way() < *size
            && let Some(since) = pace.next(now)
        {
            let (place, of) = topic.place;
            let number = window.publish(since, subscribers) * of + place;
            match is_relayed {
                false => client.outgoing.publish(&topic.name, number, &topic.text),
                true => client.outgoing.relayed_publish(number, &topic.text),
            }
            pace.begin();
        }
        has_more(&window)
    }
}

/// Takes the events of all publishers to a topic for as long as it is let.
async fn take(
    mut client: Client,
    run: Rc<Run>,
    publishers: Vec<Rc<Topic>>,
    subscriber: usize,
    subscribed: u64,
) -> Result<(), Failure> {
    let mut under_way = Vec::new();
    loop {
        client.exchange().await?;
        let now = Instant::now();
        under_way.clear();
        under_way.extend(publishers.iter().map(|topic| topic.window.borrow().under_way()));
        while let Some(message) = client.incoming.next(&mut client.outgoing)? {
            let Message::Event { subscription, arguments } = message else {
                return Err(Failure::unexpected(&message));
            };
            let number = publishers[0].number(arguments).ok().filter(|_| subscription == subscribed);
            let of = publishers.len() as u64;
            let is_taken = number.is_some_and(|number| {
                publishers[(number % of) as usize].see(number / of, subscriber, now, &run)
            });
            if !is_taken {
                run.flaw(|flaws| flaws.errors += 1);
            }
        }
        for (topic, before) in publishers.iter().zip(&under_way) {
            if topic.window.borrow().under_way() < *before {
                topic.room.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_leaves_the_window_when_the_last_subscriber_has_seen_it() {
        let mut window = Window::default();
        let now = Instant::now();
        assert_eq!([window.publish(now, 2), window.publish(now, 2)], [0, 1]);
        assert_eq!([window.see(0), window.see(1)], [Some(now), Some(now)]);
        assert_eq!(window.open.len(), 2);
        assert_eq!(window.see(0), Some(now));
        assert_eq!(window.open.len(), 1);
        assert_eq!(window.see(0), None, "no longer in the window");
        assert_eq!(window.see(2), None, "never published");
        assert_eq!(window.see(1), Some(now));
        assert_eq!(window.open.len(), 0);
    }

    #[test]
    fn publishers_to_one_topic_count_each_for_itself() {
        let (topics, run, now) = (Topic::for_each_of(2, "a", "x", 1), Run::new(), Instant::now());
        assert_eq!(topics.iter().map(|topic| topic.place).collect::<Vec<_>>(), [(0, 2), (1, 2)]);
        for topic in &topics {
            assert_eq!([0, 1].map(|_| topic.window.borrow_mut().publish(now, 1)), [0, 1]);
        }
        let seen = [(0, 1), (1, 0), (1, 1), (1, 2)];
        let seen = seen.map(|(publisher, number)| topics[publisher].see(number, 0, now, &run));
        assert_eq!(seen, [true, true, true, false], "the last was never published");
        let mut flaws = Flaws::default();
        topics.iter().for_each(|topic| topic.add_flaws(&mut flaws));
        assert_eq!(flaws, Flaws { lost: 1, ..Flaws::default() });
    }

    #[test]
    fn what_was_given_up_takes_no_room_and_is_as_late_as_it_is() {
        let mut window = Window::default();
        let now = Instant::now();
        let later = now + STALL;
        window.publish(now, 1);
        window.publish(now, 1);
        window.give_up();
        assert_eq!((window.under_way(), window.oldest()), (0, 2));
        window.publish(later, 1);
        assert_eq!((window.under_way(), window.oldest()), (1, 2));
        assert_eq!([window.see(0), window.see(1)], [Some(now), Some(now)]);
        assert_eq!(window.under_way(), 1);
        assert_eq!(window.see(2), Some(later));
        assert_eq!((window.under_way(), window.oldest()), (0, 3));
    }
}
