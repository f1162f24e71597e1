//! The server before clients that behave and clients that don't, with a handler of the tests' own.

use super::*;
use crate::call::Call;
use crate::reply::{JSON, RAW_STREAM, TEXT};
use http_body_util::BodyExt;
use hyper::StatusCode;
use std::path::PathBuf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

/// `/echo` answers the body, `/hijack` sends back what it gets, `/wait` answers its head and never its body,
/// `/sleep` never answers.
struct Toy;

impl Handler for Toy {
    async fn handle(&self, request: Request<Incoming>, peer: Peer) -> Reply {
        let headers = request.headers().clone();
        match request.uri().path() {
            "/echo" => match Call::read(request).unwrap().json::<serde_json::Value>().await {
                Ok(value) => Reply::json(&value),
                Err(refusal) => refusal.into(),
            },
            "/peer" => Reply::bytes(StatusCode::OK, TEXT, format!("{} {:?}", peer.uid, peer.pid)),
            "/hijack" => {
                // The request is read whole before the connection is taken.
                drop(request.into_body().collect().await);
                Reply::Hijack(Hijack::new(&headers, &RAW_STREAM, |connection| async {
                    let (mut reader, mut writer) = connection.split();
                    let mut buffer = [0; 64];
                    while let Ok(count @ 1..) = reader.read(&mut buffer).await {
                        writer.write(&buffer[..count]).await.unwrap();
                    }
                    writer.write(b"<end>").await.unwrap();
                    writer.finish().await;
                }))
            }
            "/wait" => {
                let (sender, pieces) = mpsc::channel(1);
                drop(tokio::spawn(async move { sender.closed().await }));
                Reply::stream(JSON, pieces)
            }
            _ => std::future::pending().await,
        }
    }
}

/// A server on a socket of its own, gone with the value.
struct Stage {
    socket: PathBuf,
    _directory: Directory,
    stop: Option<oneshot::Sender<()>>,
    server: tokio::task::JoinHandle<()>,
}

struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn small() -> Limits {
    Limits {
        connections: 20,
        reserved_for_root: 5,
        header_bytes: 16 * 1024,
        headers: 50,
        header_timeout: Duration::from_millis(300),
        grace: Duration::from_millis(300),
    }
}

impl Stage {
    fn new(name: &str, limits: Limits) -> Self {
        let directory = PathBuf::from(format!("/tmp/haven-docker-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&directory));
        std::fs::create_dir_all(&directory).unwrap();
        let socket = directory.join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(run(listener, Arc::new(Toy), limits, async { drop(stopped.await) }));
        Self { socket, _directory: Directory(directory), stop: Some(stop), server }
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.socket).await.unwrap()
    }

    /// Sends `request` and reads until the server closes or says no more for a while.
    async fn ask(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        // A server that refuses early may close before everything is sent.
        drop(stream.write_all(request.as_ref()).await);
        read_for_a_while(&mut stream).await
    }
}

async fn read_for_a_while(stream: &mut UnixStream) -> String {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(Ok(count @ 1..)) =
        tokio::time::timeout(Duration::from_millis(500), stream.read(&mut buffer)).await
    {
        all.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&all).into_owned()
}

fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn the_kernel_says_who_is_there() {
    let stage = Stage::new("peer", small());
    let answer = stage.ask("GET /peer HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let uid = rustix::process::getuid().as_raw();
    assert!(answer.ends_with(&format!("{uid} Some({})", std::process::id())), "{answer}");
}

#[tokio::test]
async fn a_connection_is_taken_over_with_and_without_an_upgrade() {
    let stage = Stage::new("hijack", small());
    for (header, head) in [
        (
            "Connection: Upgrade\r\nUpgrade: tcp\r\n",
            "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
        ),
        ("", "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"),
    ] {
        let mut stream = stage.connect().await;
        // Input right behind the request must not be lost.
        let request =
            format!("POST /hijack HTTP/1.1\r\nHost: h\r\n{header}Content-Length: 2\r\n\r\n{{}}early,");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.write_all(b"late").await.unwrap();
        let mut so_far = String::new();
        while !so_far.ends_with("late") {
            let mut buffer = [0; 256];
            let count = stream.read(&mut buffer).await.unwrap();
            assert_ne!(count, 0, "{so_far}");
            so_far.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        }
        assert_eq!(so_far, format!("{head}early,late"));
        // The client's end of input is not the end of the talk.
        stream.shutdown().await.unwrap();
        assert_eq!(read_for_a_while(&mut stream).await, "<end>");
    }
}

/// As `docker run` without input, and as `nc -N` does it.
#[tokio::test]
async fn a_client_that_stops_sending_gets_its_answer_all_the_same() {
    let stage = Stage::new("half", small());
    for (request, end) in [(post("/hijack", ""), "<end>"), (post("/echo", "[1]"), "[1]\n")] {
        let mut stream = stage.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut all = String::new();
        let reading = stream.read_to_string(&mut all);
        tokio::time::timeout(Duration::from_secs(5), reading).await.unwrap().unwrap();
        assert!(all.ends_with(end), "{all}");
    }
}

#[tokio::test]
async fn a_second_request_on_a_connection_may_take_it_over() {
    let stage = Stage::new("second", Limits { header_timeout: Duration::from_secs(60), ..small() });
    let mut stream = stage.connect().await;
    stream.write_all(post("/echo", "[1]").as_bytes()).await.unwrap();
    assert!(read_for_a_while(&mut stream).await.ends_with("[1]\n"));
    stream.write_all(post("/hijack", "").as_bytes()).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    assert!(read_for_a_while(&mut stream).await.ends_with("\r\n\r\nx"));
}

#[tokio::test]
async fn the_head_of_a_stream_is_sent_before_there_is_a_body() {
    let stage = Stage::new("head", small());
    assert!(stage.ask("POST /wait HTTP/1.1\r\nHost: h\r\n\r\n").await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn requests_that_are_no_requests_are_refused_and_the_server_goes_on() {
    let stage = Stage::new("rubbish", small());
    let long = format!("GET /echo HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let many = format!("GET /echo HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: y\r\n".repeat(1000));
    let long_path = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(100_000));
    for (request, status) in [
        ("\0\0\0\0\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), "400"),
        ("GET /echo HTTP/1.1\r\nContent-Length: x\r\n\r\n".to_owned(), "400"),
        ("GET /echo HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), ""),
        (long, "431"),
        (many, "431"),
        (long_path, "4"),
        (post("/echo", r#"{"a":"#), "400"),
        (post("/echo", "[1] [2]"), "400"),
        ("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_owned(), "400"),
        ("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}".to_owned(), "400"),
        ("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n{".to_owned(), "413"),
    ] {
        let answer = stage.ask(&request).await;
        assert!(
            answer.is_empty() && status.is_empty() || answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{:.80}: {answer}",
            request
        );
    }
    assert!(stage.ask(post("/echo", "[1]")).await.ends_with("[1]\n"));
}

#[tokio::test]
async fn clients_that_vanish_in_the_middle_leave_nothing_behind() {
    let stage = Stage::new("vanish", Limits { connections: 8, reserved_for_root: 0, ..small() });
    for cut in [
        "POST /echo HT",
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n{",
        "GET /sleep HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST /wait HTTP/1.1\r\nHost: h\r\n\r\n",
    ] {
        for _ in 0..8 {
            let mut stream = stage.connect().await;
            stream.write_all(cut.as_bytes()).await.unwrap();
            drop(stream);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // With any of them left there would be no place for these.
    for _ in 0..8 {
        assert!(stage.ask(post("/echo", "[1]")).await.ends_with("[1]\n"));
    }
}

#[tokio::test]
async fn a_client_that_dawdles_over_its_head_is_cut_off() {
    let stage = Stage::new("slow", small());
    let mut stream = stage.connect().await;
    let begun = std::time::Instant::now();
    for byte in b"GET /echo HTTP/1.1\r\nHost: h".iter().cycle() {
        if stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(begun.elapsed() < Duration::from_secs(5), "still listening");
    }
}

#[tokio::test]
async fn idle_connections_are_bounded_and_the_bound_is_explained() {
    let stage = Stage::new("idle", Limits { header_timeout: Duration::from_secs(60), ..small() });
    let mut open = Vec::new();
    for _ in 0..20 {
        open.push(stage.connect().await);
    }
    let mut refused = stage.connect().await;
    let answer = read_for_a_while(&mut refused).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("too many connections"), "{answer}");
    // The ones inside are still served, and a place given up is taken.
    open[3].write_all(post("/echo", "[1]").as_bytes()).await.unwrap();
    assert!(read_for_a_while(&mut open[3]).await.ends_with("[1]\n"));
    open.truncate(10);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(stage.ask(post("/echo", "[2]")).await.ends_with("[2]\n"));
}

#[tokio::test]
async fn stopping_waits_for_the_grace_period_and_no_longer() {
    let mut stage = Stage::new("stop", small());
    let mut idle = stage.connect().await;
    let mut waiting = stage.connect().await;
    waiting.write_all(b"GET /sleep HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    let mut taken = stage.connect().await;
    taken.write_all(post("/hijack", "").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let begun = std::time::Instant::now();
    stage.stop.take().unwrap().send(()).unwrap();
    (&mut stage.server).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2));
    for stream in [&mut idle, &mut waiting, &mut taken] {
        drop(read_for_a_while(stream).await);
    }
    assert!(UnixStream::connect(&stage.socket).await.is_err());
}
