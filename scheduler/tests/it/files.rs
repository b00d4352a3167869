//! An HTTP server for files that knows which process asks and what it shows, and does to it what a test says.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use tokio::net::TcpListener;

/// What becomes of a request.
pub enum Reply {
    /// It is answered.
    File,
    /// The server says that it cannot answer now.
    Unavailable,
}

/// The server. It ends with the runtime of its test.
pub struct FileServer {
    address: SocketAddr,
}

impl FileServer {
    /// Serves one file under every path, on an address of this machine; `script` is told which port asks, with which headers.
    pub async fn start(
        host: &str,
        file: Vec<u8>,
        script: impl Fn(u16, &HeaderMap) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (file, script) = (Arc::new(file), Arc::new(script));
        let answer = move |ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request| {
            let (file, script) = (file.clone(), script.clone());
            async move {
                match script(peer.port(), request.headers()) {
                    Reply::File => answer(&request, &file),
                    Reply::Unavailable => status(StatusCode::SERVICE_UNAVAILABLE),
                }
            }
        };
        let service = Router::new().fallback(answer).into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self { address }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }
}

fn status(status: StatusCode) -> Response {
    Response::builder().status(status).body(Body::empty()).unwrap()
}

fn answer(request: &Request, file: &[u8]) -> Response {
    let reply = Response::builder().header(header::CONTENT_TYPE, "application/x-root");
    let ranges = ranges(request);
    match ranges.as_slice() {
        _ if request.method() == Method::HEAD => {
            reply.header(header::CONTENT_LENGTH, file.len()).body(Body::empty()).unwrap()
        }
        [] => reply.body(Body::from(file.to_vec())).unwrap(),
        [(from, to)] => {
            let to = *to.min(&file.len());
            let range = format!("bytes {from}-{}/{}", to - 1, file.len());
            let reply = reply.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, range);
            reply.body(Body::from(file[*from..to].to_vec())).unwrap()
        }
        several => {
            let mut body = Vec::new();
            for (from, to) in several {
                let head = format!("\r\n--B\r\nContent-Range: bytes {from}-{}/{}\r\n\r\n", to - 1, file.len());
                body.extend_from_slice(head.as_bytes());
                body.extend_from_slice(&file[*from..*to]);
            }
            body.extend_from_slice(b"\r\n--B--\r\n");
            let reply = Response::builder().status(StatusCode::PARTIAL_CONTENT);
            reply.header(header::CONTENT_TYPE, "multipart/byteranges; boundary=B").body(Body::from(body)).unwrap()
        }
    }
}

/// The ranges asked for, their ends excluded.
fn ranges(request: &Request) -> Vec<(usize, usize)> {
    let Some(value) = request.headers().get(header::RANGE) else { return Vec::new() };
    let value = value.to_str().unwrap().trim_start_matches("bytes=");
    let each = value.split(',').filter_map(|range| range.split_once('-'));
    each.map(|(from, to)| (from.trim().parse().unwrap(), to.trim().parse::<usize>().unwrap() + 1)).collect()
}
