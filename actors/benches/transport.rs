//! Why sessions have an I/O future of their own: the same small WebSocket server twice, once as sessions here are
//! built and once on `actix_web_actors::ws::WebsocketContext`, under the same load.
//!
//! `cargo bench -p realmkeeper-actors --bench transport` prints one table. Each server runs in a process of its own
//! (this program, started again), so that the CPU time and the memory that the kernel counts are the server's alone.
//! The two are measured in turn, three rounds each, and the best round counts. All traffic stays on this machine.
//!
//! - `/echo` sends back what comes,
//! - `/publish` sends what comes to every connection of `/subscribe`,
//! - `/stall` is sent 64 MiB that the client never reads, and `/kill` ends the sessions of `/stall`.
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

use actix::{Message, Recipient};
use actix_server::Server;
use std::{
    fs,
    io::{self, BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

mod client {
    //! The load: plain sockets that speak just enough WebSocket.

    use std::{
        io,
        net::SocketAddr,
        time::{Duration, Instant},
    };
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    /// Octets of every message.
    pub(super) const PAYLOAD: usize = 64;
    /// How many publications are on their way at once.
    const WINDOW: usize = 4;
    /// A frame of the server with this payload.
    const SERVER_FRAME: usize = 2 + PAYLOAD;

    pub(super) async fn connect(address: SocketAddr, path: &str) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "the server upgrades the connection");
        Ok(stream)
    }

    /// A masked frame of a client; the mask of zeros leaves the payload as it is.
    fn frame() -> Vec<u8> {
        let length = u8::try_from(PAYLOAD).expect("the payload is short");
        [&[0x82, 0x80 | length, 0, 0, 0, 0], &[b'x'; PAYLOAD][..]].concat()
    }

    /// Round trips on each of `connections` for this time; gives how many there were.
    pub(super) async fn echo(address: SocketAddr, connections: usize, time: Duration) -> io::Result<u64> {
        let until = Instant::now() + time;
        let one = || async move {
            let (mut stream, frame, mut answer) =
                (connect(address, "/echo").await?, frame(), [0; SERVER_FRAME]);
            let mut count = 0;
            while Instant::now() < until {
                stream.write_all(&frame).await?;
                stream.read_exact(&mut answer).await?;
                count += 1;
            }
            Ok(count)
        };
        let counts = futures_util::future::join_all((0..connections).map(|_| one())).await;
        counts.into_iter().sum()
    }

    /// Announces a frame of 1 TiB and sends so many octets of it, unless the server ends the connection before.
    pub(super) async fn announce(stream: &mut TcpStream, octets: usize) -> io::Result<()> {
        let header = [&[0x82, 0x80 | 127][..], &(1u64 << 40).to_be_bytes(), &[0; 4]].concat();
        stream.write_all(&header).await?;
        let chunk = vec![b'x'; 64 << 10];
        for _ in 0..octets.div_ceil(chunk.len()) {
            if stream.write_all(&chunk).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Publications to `subscribers`, [`WINDOW`] at a time; gives how many events there were.
    pub(super) async fn fan_out(address: SocketAddr, subscribers: usize, time: Duration) -> io::Result<u64> {
        let mut streams = Vec::new();
        for _ in 0..subscribers {
            streams.push(connect(address, "/subscribe").await?);
        }
        let mut publisher = connect(address, "/publish").await?;
        let (until, frames, mut events) = (Instant::now() + time, frame().repeat(WINDOW), 0);
        while Instant::now() < until {
            publisher.write_all(&frames).await?;
            for stream in &mut streams {
                stream.read_exact(&mut [0; SERVER_FRAME * WINDOW]).await?;
                events += WINDOW as u64;
            }
        }
        Ok(events)
    }
}

/// What a connection is for, by its path.
#[derive(Clone, Copy)]
enum Group {
    Echo,
    Publish,
    Subscribe,
    Stall,
    Kill,
}

impl Group {
    fn from_path(path: &str) -> Self {
        match path {
            "/publish" => Self::Publish,
            "/subscribe" => Self::Subscribe,
            "/stall" => Self::Stall,
            "/kill" => Self::Kill,
            _ => Self::Echo,
        }
    }
}

/// Ends a session.
#[derive(Message)]
#[rtype(result = "()")]
struct Kill;

/// How much a stalled client is sent, and how much a client sends of a frame that is too large.
const BULK: usize = 64 << 20;

/// The sessions to be ended.
#[derive(Default)]
struct Stalled(Mutex<Vec<Recipient<Kill>>>);

impl Stalled {
    fn add(&self, session: Recipient<Kill>) {
        self.0.lock().expect("no holder panics").push(session);
    }

    fn kill(&self) {
        self.0.lock().expect("no holder panics").drain(..).for_each(|session| session.do_send(Kill));
    }
}

mod own {
    //! A session as they are built here: the socket belongs to the actor, its I/O is a future in the actor's context.

    use super::{BULK, Group, Kill, Stalled};
    use actix::{Actor, ActorContext, AsyncContext, Context, Handler, fut::ActorFuture};
    use actix_codec::{AsyncWrite, Framed};
    use actix_http::{HttpService, Request, body::BodySize, h1, ws};
    use actix_rt::net::TcpStream;
    use actix_server::{Server, ServerBuilder};
    use bytes::BytesMut;
    use futures_util::SinkExt;
    use std::{
        io,
        net::TcpListener,
        pin::Pin,
        sync::{Arc, Mutex},
        task::{self, Poll, Waker},
    };

    /// What waits for a client, and who is to be woken for it.
    #[derive(Default)]
    struct Outbox(Mutex<(Vec<u8>, Option<Waker>)>);

    impl Outbox {
        fn push(&self, frame: &[u8]) {
            let mut state = self.0.lock().expect("no holder panics");
            state.0.extend_from_slice(frame);
            if let Some(waker) = state.1.take() {
                waker.wake();
            }
        }
    }

    /// All sessions of the server.
    #[derive(Default)]
    struct Hub {
        subscribers: Mutex<Vec<Arc<Outbox>>>,
        stalled: Stalled,
    }

    struct Session {
        socket: TcpStream,
        group: Group,
        hub: Arc<Hub>,
        read: BytesMut,
        outbox: Arc<Outbox>,
        writing: Vec<u8>,
        written: usize,
    }

    impl Handler<Kill> for Session {
        type Result = ();

        fn handle(&mut self, _: Kill, context: &mut Self::Context) {
            context.stop();
        }
    }

    impl Actor for Session {
        type Context = Context<Self>;

        fn started(&mut self, context: &mut Self::Context) {
            match self.group {
                Group::Subscribe => {
                    self.hub.subscribers.lock().expect("no holder panics").push(self.outbox.clone());
                }
                Group::Stall => {
                    self.hub.stalled.add(context.address().recipient());
                    self.outbox.push(&vec![0; BULK]);
                }
                Group::Kill => self.hub.stalled.kill(),
                Group::Echo | Group::Publish => {}
            }
            context.spawn(Io);
        }
    }

    /// The I/O of a session.
    struct Io;

    impl ActorFuture<Session> for Io {
        type Output = ();

        fn poll(
            self: Pin<&mut Self>,
            session: &mut Session,
            context: &mut Context<Session>,
            task: &mut task::Context<'_>,
        ) -> Poll<()> {
            session.outbox.0.lock().expect("no holder panics").1 = Some(task.waker().clone());
            if session.read(task).and_then(|()| session.write(task)).is_err() {
                context.stop();
                return Poll::Ready(());
            }
            Poll::Pending
        }
    }

    /// The largest message taken.
    const LIMIT: usize = 1 << 20;

    /// Whether the header of the frame that comes next announces more than is taken.
    fn is_too_big(read: &[u8]) -> bool {
        match read {
            [_, second, length @ ..] if second & 0x7f == 127 => {
                length.first_chunk().is_some_and(|length| u64::from_be_bytes(*length) > LIMIT as u64)
            }
            _ => false,
        }
    }

    impl Session {
        fn read(&mut self, task: &mut task::Context<'_>) -> io::Result<()> {
            loop {
                self.read.reserve(4096);
                match tokio_util::io::poll_read_buf(Pin::new(&mut self.socket), task, &mut self.read)? {
                    Poll::Ready(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Poll::Ready(_) => {}
                    Poll::Pending => {
                        if self.read.is_empty() {
                            self.read = BytesMut::new();
                        }
                        return Ok(());
                    }
                }
                if is_too_big(&self.read) {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                while let Some((_, opcode, payload)) =
                    ws::Parser::parse(&mut self.read, true, LIMIT).map_err(io::Error::other)?
                {
                    let mut frame = BytesMut::new();
                    ws::Parser::write_message(&mut frame, payload.unwrap_or_default(), opcode, true, false);
                    match self.group {
                        Group::Echo => self.outbox.push(&frame),
                        Group::Publish => {
                            let subscribers = self.hub.subscribers.lock().expect("no holder panics");
                            subscribers.iter().for_each(|subscriber| subscriber.push(&frame));
                        }
                        Group::Subscribe | Group::Stall | Group::Kill => {}
                    }
                }
            }
        }

        fn write(&mut self, task: &mut task::Context<'_>) -> io::Result<()> {
            loop {
                if self.written == self.writing.len() {
                    self.written = 0;
                    self.writing = std::mem::take(&mut self.outbox.0.lock().expect("no holder panics").0);
                    if self.writing.is_empty() {
                        return Ok(());
                    }
                }
                match Pin::new(&mut self.socket).poll_write(task, &self.writing[self.written..])? {
                    Poll::Ready(count) => self.written += count,
                    Poll::Pending => return Ok(()),
                }
            }
        }
    }

    async fn upgrade(
        request: Request,
        mut framed: Framed<TcpStream, h1::Codec>,
        hub: Arc<Hub>,
    ) -> Result<(), actix_web::Error> {
        let response = ws::handshake_response(request.head()).message_body(())?;
        framed.send(h1::Message::Item((response, BodySize::None))).await?;
        let parts = framed.into_parts();
        let (group, outbox) = (Group::from_path(request.path()), Arc::default());
        let (writing, written) = (Vec::new(), 0);
        Session { socket: parts.io, group, hub, read: parts.read_buf, outbox, writing, written }.start();
        Ok(())
    }

    pub(super) fn serve(server: ServerBuilder, listener: TcpListener) -> io::Result<Server> {
        let hub = Arc::<Hub>::default();
        let server = server.listen("own", listener, move || {
            let hub = hub.clone();
            HttpService::build()
                .tcp_nodelay(true)
                .upgrade(actix_service::fn_service(move |(request, framed)| {
                    upgrade(request, framed, hub.clone())
                }))
                .finish(actix_service::map_config(actix_web::App::new(), |()| {
                    actix_web::dev::AppConfig::default()
                }))
                .tcp()
        })?;
        Ok(server.run())
    }
}

mod context {
    //! The same on `WebsocketContext`, where the actor is the body of a response.

    use super::{BULK, Group, Kill, Stalled};
    use actix::{Actor, ActorContext, AsyncContext, Handler, Message, Recipient, StreamHandler};
    use actix_http::HttpService;
    use actix_server::{Server, ServerBuilder};
    use actix_web::{App, HttpRequest, HttpResponse, dev::AppConfig, web};
    use actix_web_actors::ws::{self, WebsocketContext};
    use bytes::Bytes;
    use std::{
        io,
        net::TcpListener,
        sync::{Arc, Mutex},
    };

    #[derive(Clone, Message)]
    #[rtype(result = "()")]
    struct Event(Bytes);

    /// All sessions of the server.
    #[derive(Default)]
    struct Hub {
        subscribers: Mutex<Vec<Recipient<Event>>>,
        stalled: Stalled,
    }

    struct Session {
        group: Group,
        hub: Arc<Hub>,
    }

    impl Actor for Session {
        type Context = WebsocketContext<Self>;

        fn started(&mut self, context: &mut Self::Context) {
            match self.group {
                Group::Subscribe => {
                    let session = context.address().recipient();
                    self.hub.subscribers.lock().expect("no holder panics").push(session);
                }
                Group::Stall => {
                    self.hub.stalled.add(context.address().recipient());
                    context.binary(vec![0; BULK]);
                }
                Group::Kill => self.hub.stalled.kill(),
                Group::Echo | Group::Publish => {}
            }
        }
    }

    impl Handler<Kill> for Session {
        type Result = ();

        fn handle(&mut self, _: Kill, context: &mut Self::Context) {
            context.stop();
        }
    }

    impl Handler<Event> for Session {
        type Result = ();

        fn handle(&mut self, Event(payload): Event, context: &mut Self::Context) {
            context.binary(payload);
        }
    }

    impl StreamHandler<Result<ws::Message, ws::ProtocolError>> for Session {
        fn handle(&mut self, message: Result<ws::Message, ws::ProtocolError>, context: &mut Self::Context) {
            let Ok(ws::Message::Binary(payload)) = message else { return context.stop() };
            match self.group {
                Group::Echo => context.binary(payload),
                Group::Publish => {
                    let subscribers = self.hub.subscribers.lock().expect("no holder panics");
                    subscribers.iter().for_each(|subscriber| subscriber.do_send(Event(payload.clone())));
                }
                Group::Subscribe | Group::Stall | Group::Kill => {}
            }
        }
    }

    async fn upgrade(request: HttpRequest, body: web::Payload) -> Result<HttpResponse, actix_web::Error> {
        let hub = request.app_data::<Arc<Hub>>().cloned().unwrap_or_default();
        ws::start(Session { group: Group::from_path(request.path()), hub }, &request, body)
    }

    pub(super) fn serve(server: ServerBuilder, listener: TcpListener) -> io::Result<Server> {
        let hub = Arc::<Hub>::default();
        let server = server.listen("context", listener, move || {
            let app = App::new().app_data(hub.clone()).default_service(web::to(upgrade));
            HttpService::build()
                .tcp_nodelay(true)
                .finish(actix_service::map_config(app, |()| AppConfig::default()))
                .tcp()
        })?;
        Ok(server.run())
    }
}

/// The name of each kind of server, which is also the argument that starts it.
const KINDS: [&str; 2] = ["session with its own I/O future", "WebsocketContext"];

/// A server in a process of its own; it ends when this is dropped.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start(kind: &str) -> io::Result<Self> {
        let program = std::env::current_exe()?;
        let mut child = Command::new(program).args(["serve", kind]).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let output = child.stdout.take().expect("the output is piped");
        BufReader::new(output).read_line(&mut line)?;
        let address = line.trim().parse().map_err(io::Error::other)?;
        Ok(Self { child, address })
    }

    /// The CPU time it has used.
    fn cpu(&self) -> io::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(Duration::from_millis(ticks * 10))
    }

    /// The memory it holds, in KiB.
    fn memory(&self) -> io::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse().map_err(io::Error::other)
    }

    /// How many files and sockets it has open.
    fn open_files(&self) -> io::Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has nothing to save.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is measured of a server; less is better.
#[derive(Clone, Copy)]
struct Figures {
    /// Microseconds of CPU for a round trip of one of 8 connections.
    echo: f64,
    /// Microseconds of CPU for an event, 1000 subscribers.
    fan_out: f64,
    /// KiB for an idle connection.
    idle: f64,
    /// Milliseconds until the socket of a killed session is gone; none if it stays.
    kill: Option<f64>,
    /// MiB for a client that announces a frame of 1 TiB and sends [`BULK`] of it.
    announced: f64,
}

const TIME: Duration = Duration::from_secs(2);

async fn measure(kind: &str) -> io::Result<Figures> {
    let micros = |cpu: Duration, count: u64| cpu.as_secs_f64() * 1e6 / count as f64;
    let server = Process::start(kind)?;
    let before = server.memory()?;
    let mut idle = Vec::new();
    for _ in 0..2000 {
        idle.push(client::connect(server.address, "/echo").await?);
    }
    let idle_memory = (server.memory()? - before) / idle.len() as f64;
    drop(idle);

    let cpu = server.cpu()?;
    let count = client::echo(server.address, 8, TIME).await?;
    let echo = micros(server.cpu()? - cpu, count);

    let cpu = server.cpu()?;
    let count = client::fan_out(server.address, 1000, TIME).await?;
    let fan_out = micros(server.cpu()? - cpu, count);

    // The connections of before are closed by their clients; what is left is the stalled one.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let files = server.open_files()?;
    let stalled = client::connect(server.address, "/stall").await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let start = Instant::now();
    let killer = client::connect(server.address, "/kill").await?;
    let is_gone = || server.open_files().map(|now| now <= files + 1);
    while !is_gone()? && start.elapsed() < Duration::from_secs(3) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let kill = is_gone()?.then(|| start.elapsed().as_secs_f64() * 1e3);
    drop((stalled, killer));
    let announced = measure_announced(kind).await?;
    Ok(Figures { echo, fan_out, idle: idle_memory, kill, announced })
}

/// In a new process, which has no memory to spare from before.
async fn measure_announced(kind: &str) -> io::Result<f64> {
    let server = Process::start(kind)?;
    let mut stream = client::connect(server.address, "/echo").await?;
    let before = server.memory()?;
    client::announce(&mut stream, BULK).await?;
    // What is still on its way arrives.
    tokio::time::sleep(Duration::from_millis(500)).await;
    Ok((server.memory()? - before) / 1024.0)
}

fn serve(kind: &str) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("{}", listener.local_addr()?);
    actix_rt::System::new().block_on(async {
        let server = Server::build().workers(1);
        if kind == KINDS[0] {
            own::serve(server, listener)?.await
        } else {
            context::serve(server, listener)?.await
        }
    })
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [command, kind] = &*arguments
        && command == "serve"
    {
        return serve(kind);
    }
    let mut best: [Option<Figures>; 2] = [None; 2];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for _ in 0..3 {
        for (kind, best) in KINDS.iter().zip(&mut best) {
            let now = runtime.block_on(measure(kind))?;
            *best = Some(best.map_or(now, |best| Figures {
                echo: best.echo.min(now.echo),
                fan_out: best.fan_out.min(now.fan_out),
                idle: best.idle.min(now.idle),
                kill: best.kill.into_iter().chain(now.kill).reduce(f64::min),
                announced: best.announced.min(now.announced),
            }));
        }
    }
    let [Some(own), Some(context)] = best else { return Ok(()) };
    println!("{:<44}{:>34}{:>20}{:>8}", "", KINDS[0], KINDS[1], "ratio");
    for (name, own, context) in [
        ("echo, 8 connections: CPU us per round trip", own.echo, context.echo),
        ("fan-out to 1000: CPU us per event", own.fan_out, context.fan_out),
        ("idle connection: KiB", own.idle, context.idle),
    ] {
        println!("{name:<44}{own:>34.2}{context:>20.2}{:>8.1}", context / own);
    }
    let kill =
        |figures: Figures| figures.kill.map_or("not within 3 s".into(), |millis| format!("{millis:.1}"));
    println!("{:<44}{:>34}{:>20}", "kill of a stalled session: ms", kill(own), kill(context));
    let announced = "1 TiB announced, 64 MiB of it sent: MiB";
    println!("{announced:<44}{:>34.2}{:>20.2}", own.announced, context.announced);
    Ok(())
}
