//! A small HTTP server on this machine that misbehaves as told.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a path answers.
pub(crate) struct Answer {
    content_type: &'static str,
    body: Vec<u8>,
    ranges: bool,
    cut_first_after: Option<usize>,
    fail_first_with: Option<u16>,
    pause: bool,
}

/// A request that came in.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) range_start: Option<u64>,
}

/// A running server. Its thread ends with the test process.
pub(crate) struct Server {
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Answer {
    pub(crate) fn file(body: &[u8]) -> Self {
        Answer {
            content_type: "application/octet-stream",
            body: body.to_vec(),
            ranges: true,
            cut_first_after: None,
            fail_first_with: None,
            pause: false,
        }
    }

    pub(crate) fn html(text: &str) -> Self {
        Answer { content_type: "text/html", ..Answer::file(text.as_bytes()) }
    }

    /// The first request gets so many bytes of the body, then the connection ends.
    pub(crate) fn cut_first_after(self, bytes: usize) -> Self {
        Answer { cut_first_after: Some(bytes), ..self }
    }

    /// The first request gets this status.
    pub(crate) fn fail_first_with(self, status: u16) -> Self {
        Answer { fail_first_with: Some(status), ..self }
    }

    /// Every request gets the whole body.
    pub(crate) fn without_ranges(self) -> Self {
        Answer { ranges: false, ..self }
    }

    /// The body comes in two halves with a pause between, so that another pull surely begins meanwhile.
    pub(crate) fn pause_in_the_middle(self) -> Self {
        Answer { pause: true, ..self }
    }

    fn serve(&self, request: &Request, earlier_requests: usize, out: &mut TcpStream) -> std::io::Result<()> {
        if let Some(status) = self.fail_first_with
            && earlier_requests == 0
        {
            return write!(
                out,
                "HTTP/1.1 {status} Trouble\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        let total = self.body.len();
        let start = request.range_start.filter(|_| self.ranges).unwrap_or(0) as usize;
        let status = if start > 0 { "206 Partial Content" } else { "200 OK" };
        write!(out, "HTTP/1.1 {status}\r\nContent-Type: {}\r\nConnection: close\r\n", self.content_type)?;
        if start > 0 {
            write!(out, "Content-Range: bytes {start}-{}/{total}\r\n", total - 1)?;
        }
        write!(out, "Content-Length: {}\r\n\r\n", total - start)?;
        let end = self.cut_first_after.filter(|_| earlier_requests == 0).unwrap_or(total);
        let middle = start + (end - start) / 2;
        out.write_all(&self.body[start..middle])?;
        if self.pause {
            std::thread::sleep(Duration::from_millis(700));
        }
        out.write_all(&self.body[middle..end])
    }
}

impl Server {
    pub(crate) fn start(answers: Vec<(&'static str, Answer)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that hangs up early is part of what is tested.
                let _ = answer(stream, &answers, &seen);
            }
        });
        Server { address, requests }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// An address where nothing listens.
    pub(crate) fn dead_url(path: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}{path}", listener.local_addr().unwrap())
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(
    mut stream: TcpStream,
    answers: &[(&'static str, Answer)],
    seen: &Mutex<Vec<Request>>,
) -> std::io::Result<()> {
    let request = read_request(&stream)?;
    let earlier_requests = {
        let mut seen = seen.lock().unwrap();
        let earlier = seen.iter().filter(|earlier| earlier.path == request.path).count();
        seen.push(request.clone());
        earlier
    };
    match answers.iter().find(|(path, _)| *path == request.path) {
        Some((_, answer)) => answer.serve(&request, earlier_requests, &mut stream),
        None => write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    }
}

fn read_request(stream: &TcpStream) -> std::io::Result<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let mut request =
        Request { path: first.split(' ').nth(1).unwrap_or_default().to_owned(), range_start: None };
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.to_lowercase().strip_prefix("range: bytes=") {
            request.range_start = range.trim_end_matches('-').parse().ok();
        }
    }
    Ok(request)
}
