//! Fetches the next page while the store applies the last one: a first sync takes no longer than the slower of the two.
//!
//! The request for the next page is known as soon as a page arrives, unless this machine has something to send. It is a guess:
//! only a request that is equal to it gets its response. A page that nobody asks for costs the hub a read, and no more.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::exchange::Exchange;
use super::hub::Hub;
use super::hub_url::HubUrl;
use crate::error::Result;
use crate::hephd::protocol::{Request, Response};
use crate::hephd::store::HubClock;

/// An [`Exchange`] that is one page ahead.
pub(super) struct LookAhead {
    exchange: Arc<Mutex<Exchange>>,
    url: HubUrl,
    hub_clock: HubClock,
    clock_difference: Option<String>,
    ahead: Option<(Request, JoinHandle<Result<Response>>)>,
}

impl LookAhead {
    pub fn new(hub: Hub) -> LookAhead {
        let exchange = Exchange::new(hub);
        LookAhead {
            url: exchange.url().clone(),
            hub_clock: exchange.hub_clock(),
            clock_difference: None,
            exchange: Arc::new(Mutex::new(exchange)),
            ahead: None,
        }
    }

    pub fn url(&self) -> &HubUrl {
        &self.url
    }

    /// As [`Exchange::hub_clock`], as of the last response that was returned.
    pub fn hub_clock(&self) -> HubClock {
        self.hub_clock
    }

    /// As [`Exchange::clock_difference`], as of the last response that was returned.
    pub fn clock_difference(&self) -> Option<&str> {
        self.clock_difference.as_deref()
    }

    /// As [`Exchange::send`]. Begins to fetch the page that follows.
    pub fn send(&mut self, request: &Request) -> Result<Response> {
        let response = match self.ahead.take() {
            Some((ahead, thread)) if ahead == *request => thread
                .join()
                .unwrap_or_else(|panicked| resume_unwind(panicked)),
            _ => lock(&self.exchange).send(request),
        };
        {
            let exchange = lock(&self.exchange);
            self.hub_clock = exchange.hub_clock();
            self.clock_difference = exchange.clock_difference().map(str::to_owned);
        }
        if let Ok(response) = &response {
            self.ahead = following(request, response).and_then(|next| self.fetch(next));
        }
        response
    }

    /// Discards a page that is being fetched: in another round it may be outdated.
    pub fn discard(&mut self) {
        self.ahead = None;
    }

    /// Sends `request` on another thread; `None` where the system has none left.
    fn fetch(&self, request: Request) -> Option<(Request, JoinHandle<Result<Response>>)> {
        let (exchange, asked) = (Arc::clone(&self.exchange), request.clone());
        let thread = thread::Builder::new().name("sync ahead".to_owned());
        let fetching = thread.spawn(move || lock(&exchange).send(&asked));
        Some((request, fetching.ok()?))
    }
}

fn lock(exchange: &Mutex<Exchange>) -> MutexGuard<'_, Exchange> {
    exchange.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the request that will follow, if it is as good as certain. Not on a slow link, whose pages are small: there a guess
/// that fails would cost seconds. Pure.
fn following(request: &Request, response: &Response) -> Option<Request> {
    let is_certain = response.more
        && !response.reset
        && request.operations.is_empty()
        && request.page_bytes.is_none();
    is_certain.then(|| Request {
        epoch: Some(response.epoch.clone()),
        cursor: response.cursor.clone(),
        sent: response.sent.clone(),
        ..request.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::super::hub::Credential;
    use super::*;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc;
    use std::time::Duration;

    use flate2::read::GzDecoder;

    use crate::hephd::protocol::{Operation, OperationKind, Position};

    const PATIENCE: Duration = Duration::from_secs(60);

    fn position(seq: u64) -> Option<Position> {
        let id = "01K9ZZZZZZABCDEFGHJKMNPQRS".to_owned();
        Some(Position { seq, id })
    }

    fn request(cursor: Option<Position>) -> Request {
        Request {
            schema: 1,
            version: "1.2.3".to_owned(),
            spoke: "01K9ZZZZZZABCDEFGHJKMNPQRU".to_owned(),
            epoch: cursor.is_some().then(|| "E".to_owned()),
            cursor,
            sent: None,
            operations: Vec::new(),
            page_bytes: None,
        }
    }

    fn operation() -> Operation {
        Operation {
            id: "01K9ZZZZZZABCDEFGHJKMNPQRS".to_owned(),
            kind: OperationKind::Done,
            task: "01K9ZZZZZZABCDEFGHJKMNPQRT".to_owned(),
            body: serde_json::Map::new(),
            created_at: 1,
        }
    }

    /// Returns the page behind the cursor of `request`; the fifth one is the last.
    fn page(request: &Request) -> Response {
        let seq = request.cursor.as_ref().map_or(0, |cursor| cursor.seq) + 1;
        Response {
            schema: 1,
            version: "1.2.3".to_owned(),
            epoch: "E".to_owned(),
            reset: false,
            refused: Vec::new(),
            sent: None,
            operations: vec![operation()],
            cursor: position(seq),
            more: seq < 5,
        }
    }

    /// Answers one request after the other, and passes each on.
    fn serve(stream: TcpStream, requests: &mpsc::Sender<Request>) {
        let mut reader = BufReader::new(stream);
        loop {
            let mut length = 0;
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    return;
                }
                let line = line.trim().to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let request: Request = serde_json::from_reader(GzDecoder::new(&body[..])).unwrap();
            let answer = serde_json::to_string(&page(&request)).unwrap();
            requests.send(request).unwrap();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{answer}",
                answer.len()
            );
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    }

    /// Returns an exchange with a hub, and the requests as they arrive there.
    fn hub() -> (LookAhead, mpsc::Receiver<Request>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, requests) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let sender = sender.clone();
                thread::spawn(move || serve(stream.unwrap(), &sender));
            }
        });
        let hub = Hub {
            url: HubUrl::parse(&url).unwrap(),
            credential: Credential::None,
            allowance: 1 << 30,
        };
        (LookAhead::new(hub), requests)
    }

    #[test]
    fn the_next_page_is_fetched_before_anybody_asks_and_no_page_twice() {
        let (mut exchange, requests) = hub();
        let mut cursor = None;
        for number in 1..=5 {
            let response = exchange.send(&request(cursor)).unwrap();
            assert_eq!(response.cursor, position(number));
            let asked = requests.recv_timeout(PATIENCE).unwrap();
            assert_eq!(asked.cursor.map_or(0, |cursor| cursor.seq), number - 1);
            cursor = response.cursor;
        }
        // With the last page there is nothing to guess.
        assert!(requests.try_recv().is_err());

        let response = exchange.send(&request(position(1))).unwrap();
        assert_eq!(response.cursor, position(2));
        for known in [1, 2] {
            let asked = requests.recv_timeout(PATIENCE).unwrap();
            assert_eq!(
                asked.cursor,
                position(known),
                "before `send` is called for it"
            );
        }
    }

    #[test]
    fn a_request_with_something_to_send_gets_its_own_response() {
        let (mut exchange, requests) = hub();
        exchange.send(&request(position(1))).unwrap();
        let mut other = request(position(2));
        other.operations.push(operation());
        let response = exchange.send(&other).unwrap();
        assert_eq!(response.cursor, position(3));
        exchange.send(&request(position(2))).unwrap();
        exchange.discard();
        exchange.send(&request(position(3))).unwrap();
        let asked: Vec<Request> = (0..6)
            .map(|_| requests.recv_timeout(PATIENCE).unwrap())
            .collect();
        let sent = asked
            .iter()
            .map(|asked| asked.operations.len())
            .sum::<usize>();
        assert_eq!(sent, 1, "it was sent once");
    }

    #[test]
    fn only_a_certain_request_is_made_ahead() {
        let certain = request(position(1));
        let response = page(&certain);
        assert_eq!(following(&certain, &response), Some(request(position(2))));
        let with = |change: fn(&mut Request, &mut Response)| {
            let (mut request, mut response) = (certain.clone(), response.clone());
            change(&mut request, &mut response);
            following(&request, &response)
        };
        assert_eq!(with(|_, response| response.more = false), None);
        assert_eq!(with(|_, response| response.reset = true), None);
        assert_eq!(
            with(|request, _| request.operations.push(operation())),
            None
        );
        assert_eq!(with(|request, _| request.page_bytes = Some(65_536)), None);
    }
}
