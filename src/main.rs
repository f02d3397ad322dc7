//! The program `realmkeeper`.

use clap::{Parser, Subcommand, error::ErrorKind};
use realmkeeper::{
    Listener, Service, Settings,
    bench::{self, BenchArgs},
};
use std::{
    env,
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    process::ExitCode,
};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// What was asked for cannot be done as it stands.
const UNUSABLE: u8 = 2;

/// A WAMP v2 router.
///
/// Without arguments it serves the realm realm1 on ws://127.0.0.1:8080/ws to anonymous clients of this machine.
/// The environment variable RUST_LOG sets what is logged, for example RUST_LOG=debug.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    /// The loopback address to listen on; port 0 takes any that is free
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = address)]
    listen: SocketAddr,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure a WAMP router, or the limit of this machine
    Bench(BenchArgs),
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "must be an ip address and a port, such as 127.0.0.1:8080 or [::1]:8080")
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if error.kind() == ErrorKind::ValueValidation => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            return refuse(first.trim_start_matches("error: "));
        }
        Err(error) => error.exit(),
    };
    if let Some(Command::Bench(arguments)) = arguments.command {
        return bench::run(arguments);
    }
    if !arguments.listen.ip().is_loopback() {
        return refuse(&format!(
            "will not listen on {0}: without a configuration anonymous clients may do everything, so that only \
             this machine may connect; use --listen 127.0.0.1:{1} or --listen [::1]:{1}",
            arguments.listen,
            arguments.listen.port()
        ));
    }
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env();
    let filter = match filter {
        Ok(filter) => filter,
        Err(error) => return refuse(&format!("the environment variable RUST_LOG is not valid: {error}")),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    let listener = Listener { address: arguments.listen, ..Listener::default() };
    actix_rt::System::new().block_on(serve(Settings { listeners: vec![listener], ..Settings::default() }))
}

async fn serve(settings: Settings) -> ExitCode {
    let realms = settings.realms.iter().map(|realm| realm.name.to_string()).collect::<Vec<_>>().join(", ");
    let (interrupt, terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (mut interrupt, mut terminate) = match (interrupt, terminate) {
        (Ok(interrupt), Ok(terminate)) => (interrupt, terminate),
        (Err(error), _) | (_, Err(error)) => return refuse(&format!("cannot wait for signals: {error}")),
    };
    let service = match Service::start(settings).await {
        Ok(service) => service,
        Err(error) => return refuse(&error.to_string()),
    };
    let url = service.url();
    // The name by which it was called works again, wherever the program lies.
    let program = env::args().next().unwrap_or_else(|| "realmkeeper".into());
    let greeting = format!(
        "realmkeeper {} listens on {url}\n\
         realms: {realms} (anonymous clients may do everything)\n\
         try: {program} bench rpc --url {url} --seconds 2\n",
        env!("CARGO_PKG_VERSION")
    );
    // Whoever closed the output does not want to read it.
    let _ = io::stdout().write_all(greeting.as_bytes());
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    service.stop().await;
    ExitCode::SUCCESS
}

fn refuse(text: &str) -> ExitCode {
    // There is nobody else to tell.
    let _ = writeln!(io::stderr(), "realmkeeper: {text}");
    ExitCode::from(UNUSABLE)
}
