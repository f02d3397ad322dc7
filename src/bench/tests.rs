//! Benchmarks against relays in the same process. They assert counts, never times.

use std::future::poll_fn;

use bytes::BytesMut;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

use super::frame::{Framing, Inbox};
use super::run::Flaws;
use super::*;

#[test]
fn calls_and_events_pass_the_relay_without_a_flaw() {
    block_on(async {
        let listener = floor::listen(&parse(&[])).await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        spawn_local(floor::serve(listener));
        for serializer in ["json", "msgpack", "cbor"] {
            let common =
                ["--url", &url, "--serializer", serializer, "--floor", "--seconds", "0.1", "--warmup", "0"];
            let rpc = rpc::run(&parse(&common)).await.unwrap();
            assert!(rpc.operations >= 128, "{rpc:?}");
            assert_eq!(rpc.flaws, Flaws::default());

            for own in [&["--publishers", "2"][..], &["--publishers", "3", "--subscribers", "2"]] {
                let pubsub = pubsub::run(&parse(&[&common[..], own].concat())).await.unwrap();
                assert!(pubsub.operations >= 16, "{pubsub:?}");
                assert_eq!(pubsub.flaws, Flaws::default());
            }

            let fanout = [&common[..], &["--subscribers", "50", "--payload", "70000"]].concat();
            let fanout = pubsub::run_fanout(&parse(&fanout)).await.unwrap();
            assert!(fanout.operations >= 50, "{fanout:?}");
            assert_eq!(fanout.flaws, Flaws::default());
        }
    });
}

#[test]
fn what_a_relay_spoils_is_counted() {
    block_on(async {
        // Of the first events, the third is lost, the fifth comes twice and the seventh after the eighth.
        let url = spoil(&[0, 1, 3, 4, 4, 5, 7, 6]).await;
        let arguments = ["--url", &url, "--floor", "--seconds", "0.1", "--warmup", "0", "--publishers", "1"];
        let pubsub = pubsub::run(&parse(&arguments)).await.unwrap();
        assert_eq!(pubsub.flaws, Flaws { lost: 1, duplicated: 1, out_of_order: 1, errors: 0 });

        // Answers may come in any order, so here only the repeated one is wrong.
        let url = spoil(&[1, 0, 0, 2]).await;
        let arguments = [
            "--url",
            &url,
            "--floor",
            "--seconds",
            "0.1",
            "--warmup",
            "0",
            "--callers",
            "1",
            "--callees",
            "1",
        ];
        let rpc = rpc::run(&parse(&arguments)).await.unwrap();
        assert_eq!(rpc.flaws, Flaws { duplicated: 1, ..Flaws::default() });
    });
}

/// Starts a relay for one callee or subscriber and one caller or publisher, which connect in this order. It
/// collects the first frames from the latter and sends them in the given order, all others as they come.
/// Returns its URL.
async fn spoil(order: &'static [usize]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    spawn_local(async move {
        let mut taking = Peer::accept(&listener).await;
        let mut giving = Peer::accept(&listener).await;
        let mut collected = giving.frames().await;
        while collected.len() <= *order.iter().max().unwrap() {
            collected.append(&mut giving.frames().await);
        }
        let spoiled = order.iter().map(|at| collected[*at].clone()).collect();
        let rest = collected.split_off(order.iter().max().unwrap() + 1);
        taking.send(spoiled).await;
        taking.send(rest).await;
        loop {
            tokio::select! {
                frames = giving.frames() => taking.send(frames).await,
                frames = taking.frames() => giving.send(frames).await,
            }
        }
    });
    url
}

struct Peer {
    stream: TcpStream,
    inbox: Inbox,
}

impl Peer {
    async fn accept(listener: &TcpListener) -> Self {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut inbox = Inbox::new(Framing::WebSocket, &[]);
        handshake::grant(&mut stream, &mut inbox).await.unwrap();
        Self { stream, inbox }
    }

    /// The frames that have come, at least one unless the peer has gone; then it waits for ever.
    async fn frames(&mut self) -> Vec<BytesMut> {
        let mut frames = Vec::new();
        while frames.is_empty() {
            if poll_fn(|context| self.inbox.poll_fill(&mut self.stream, context)).await.is_err() {
                std::future::pending::<()>().await;
            }
            while let Some(frame) = self.inbox.frame().unwrap() {
                frames.push(BytesMut::new());
                frame.put_plain(frames.last_mut().unwrap());
            }
        }
        frames
    }

    async fn send(&mut self, frames: Vec<BytesMut>) {
        self.stream.write_all(&frames.concat()).await.unwrap();
    }
}

fn block_on(test: impl Future<Output = ()>) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test);
}

fn parse<A: Args>(arguments: &[&str]) -> A {
    let command = A::augment_args(clap::Command::new("bench").no_binary_name(true));
    A::from_arg_matches(&command.get_matches_from(arguments)).unwrap()
}
