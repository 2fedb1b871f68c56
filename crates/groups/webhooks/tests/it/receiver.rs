//! A receiver of webhooks that answers as the test says and remembers what it got.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const PATIENCE: Duration = Duration::from_secs(30);

/// One request as it came over the wire.
#[derive(Debug)]
pub struct Request {
    pub head: String,
    pub body: String,
}

impl Request {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

pub struct Receiver {
    pub address: SocketAddr,
    /// Status line and headers of the next answers; when there are none left it is 200.
    answers: Arc<Mutex<VecDeque<String>>>,
    requests: UnboundedReceiver<Request>,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers: Arc<Mutex<VecDeque<String>>> = Arc::default();
        let (heard, requests) = unbounded_channel();
        let planned = Arc::clone(&answers);
        // It ends with the runtime of its test.
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = read(&mut stream).await;
                let head = planned.lock().unwrap().pop_front().unwrap_or_else(|| "200 OK".to_owned());
                heard.send(request).unwrap();
                let answer =
                    format!("HTTP/1.1 {head}\r\nContent-Length: 8\r\nConnection: close\r\n\r\nreceived");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { address, answers, requests }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub fn plan(&self, heads: &[&str]) {
        self.answers.lock().unwrap().extend(heads.iter().map(|head| (*head).to_owned()));
    }

    /// What came since the last call.
    pub fn received(&mut self) -> Vec<Request> {
        let mut all = Vec::new();
        while let Ok(request) = self.requests.try_recv() {
            all.push(request);
        }
        all
    }

    /// Waits for the next request.
    pub async fn next(&mut self) -> Request {
        let next = tokio::time::timeout(PATIENCE, self.requests.recv());
        next.await.expect("a request in time").expect("the receiver runs")
    }
}

async fn read(stream: &mut TcpStream) -> Request {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let request = Request { head: head.to_owned(), body: body.to_owned() };
            let length: usize = request.header("content-length").unwrap().parse().unwrap();
            if request.body.len() >= length {
                return request;
            }
        }
        let mut piece = [0u8; 4096];
        let count = stream.read(&mut piece).await.unwrap();
        assert!(count > 0, "the request broke off: {text:?}");
        bytes.extend_from_slice(&piece[..count]);
    }
}
