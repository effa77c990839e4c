// SPDX-License-Identifier: Apache-2.0
//! axum and reqwest on tokio's runtime of several threads: each request makes a random number of calls to BACK,
//! each with a fresh token. The pair (incoming token, outgoing token) goes to the truth file alone.
//!
//! MODE=plain  the handler's own task makes the calls (in parallel: join!, and tasks of their own by turns)
//! MODE=own    the same, over sockets of its own instead of reqwest's, whose connections have tasks of their own
//! MODE=pool   a channel leads to WORKERS worker tasks, which make them; the handler waits for the answer
//!
//! Environment: see ../../../case.py.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{StatusCode, Uri};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, Mutex, Semaphore};

struct Env {
	name: String,
	back: String,
	back_name: String,
	truth: File,
	think_ms: f64,
	steps: u32,
	skip: f64,
	repeat: f64,
	retries: u32,
	parallel: f64,
	background: f64,
	/// Calls at once: fewer than the requests in flight, so that calls queue.
	slots: Semaphore,
	client: reqwest::Client,
	/// Sockets that are free, if the calls go over the service's own.
	own: Option<std::sync::Mutex<Vec<TcpStream>>>,
	jobs: Option<mpsc::UnboundedSender<Job>>,
}

struct Job {
	token: String,
	kind: &'static str,
	done: oneshot::Sender<bool>,
}

fn var(name: &str, default: &str) -> String {
	std::env::var(name).unwrap_or_else(|_| default.to_string())
}

fn num(name: &str, default: &str) -> f64 {
	var(name, default).parse().unwrap_or_else(|_| panic!("{name} is not a number"))
}

impl Env {
	async fn think(&self) {
		if self.think_ms > 0.0 {
			let ms = fastrand::f64() * 2.0 * self.think_ms;
			tokio::time::sleep(Duration::from_secs_f64(ms / 1000.0)).await;
		}
	}

	async fn once(&self, token: &str, kind: &str) -> bool {
		let out = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
		let line = format!("{}\t{}\t{}\t{}\t{}\n", self.name, token, self.back_name, out, kind);
		(&self.truth).write_all(line.as_bytes()).expect("the truth file");
		let _slot = self.slots.acquire().await.expect("never closed");
		if let Some(free) = &self.own {
			return self.over_own(free, &out).await.unwrap_or(false);
		}
		let url = format!("http://{}/{}/{}", self.back, self.back_name, out);
		match self.client.get(url).send().await {
			Ok(answer) => {
				let ok = answer.status().is_success();
				answer.bytes().await.is_ok() && ok
			}
			Err(_) => false,
		}
	}

	/// The call, over a socket that this task alone uses meanwhile.
	async fn over_own(&self, free: &std::sync::Mutex<Vec<TcpStream>>, out: &str) -> std::io::Result<bool> {
		let kept = free.lock().expect("the sockets").pop();
		let mut socket = match kept {
			Some(socket) => socket,
			None => TcpStream::connect(&self.back).await?,
		};
		socket.set_nodelay(true)?;
		let head = format!("GET /{}/{} HTTP/1.1\r\nHost: back\r\n\r\n", self.back_name, out);
		socket.write_all(head.as_bytes()).await?;
		let mut answer = Vec::new();
		while !whole(&answer) {
			if socket.read_buf(&mut answer).await? == 0 {
				return Err(std::io::ErrorKind::UnexpectedEof.into());
			}
		}
		free.lock().expect("the sockets").push(socket);
		Ok(answer.get(9) == Some(&b'2'))
	}

	/// A call, tried again (with another token) when the back end was not able.
	async fn call(&self, token: &str, kind: &str) -> bool {
		let again = if kind == "background" || kind == "timer" { kind } else { "retry" };
		for i in 0..=self.retries {
			if self.once(token, if i > 0 { again } else { kind }).await {
				return true;
			}
		}
		false
	}

	/// One piece of work: here, or through the channel.
	async fn work(&self, token: &str, kind: &'static str) -> bool {
		let Some(jobs) = &self.jobs else { return self.call(token, kind).await };
		let (done, answer) = oneshot::channel();
		let job = Job { token: token.to_string(), kind, done };
		jobs.send(job).unwrap_or_else(|_| panic!("the workers are gone"));
		answer.await.unwrap_or(false)
	}

	/// The kinds of the calls that a request makes, tries after a failure aside.
	fn plan(&self, usual: &'static str) -> Vec<&'static str> {
		let mut kinds = Vec::new();
		for _ in 0..self.steps {
			if fastrand::f64() >= self.skip {
				kinds.push(usual);
				if fastrand::f64() < self.repeat {
					kinds.push("repeat");
				}
			}
		}
		kinds
	}
}

/// Is this an answer's head and all of its body?
fn whole(answer: &[u8]) -> bool {
	let text = String::from_utf8_lossy(answer);
	let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
	let length = head.lines().find_map(|l| {
		let (name, value) = l.split_once(':')?;
		name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
	});
	body.len() >= length.unwrap_or(0)
}

async fn worker(env: Arc<Env>, jobs: Arc<Mutex<mpsc::UnboundedReceiver<Job>>>) {
	loop {
		let job = jobs.lock().await.recv().await;
		let Some(job) = job else { return };
		env.think().await;
		let ok = env.call(&job.token, job.kind).await;
		env.think().await;
		let _ = job.done.send(ok);
	}
}

/// Two calls at once within this task, or each in a task of its own: by turns.
async fn together(env: &Arc<Env>, token: &str) -> bool {
	let mut kinds = env.plan("parallel");
	if kinds.len() == 2 && fastrand::bool() {
		let (a, b) = tokio::join!(env.work(token, "parallel"), env.work(token, "parallel"));
		return a && b;
	}
	let tasks: Vec<_> = kinds
		.drain(..)
		.map(|kind| {
			let (env, token) = (env.clone(), token.to_string());
			tokio::spawn(async move {
				env.think().await;
				env.work(&token, kind).await
			})
		})
		.collect();
	let mut ok = true;
	for task in tasks {
		ok &= task.await.unwrap_or(false);
	}
	ok
}

async fn handle(env: Arc<Env>, uri: Uri) -> (StatusCode, &'static str) {
	let token = uri.path().rsplit('/').next().unwrap_or("").to_string();
	let mut ok = true;

	env.think().await;
	if fastrand::f64() < env.parallel {
		ok = together(&env, &token).await;
		env.think().await;
	} else {
		for kind in env.plan("call") {
			ok &= env.work(&token, kind).await;
			env.think().await;
		}
	}
	if fastrand::f64() < env.background {
		tokio::spawn(async move {
			env.think().await;
			env.call(&token, "background").await;
		});
	}
	(if ok { StatusCode::OK } else { StatusCode::BAD_GATEWAY }, "ok\n")
}

async fn timer(env: Arc<Env>, every_ms: f64) {
	loop {
		tokio::time::sleep(Duration::from_secs_f64(every_ms * (0.5 + fastrand::f64()) / 1000.0)).await;
		env.call("-", "timer").await;
	}
}

async fn serve() {
	let conns = num("CONNS", "16") as usize;
	let pool = if var("MODE", "plain") == "pool" { num("WORKERS", "16") as usize } else { 0 };
	let (send, receive) = mpsc::unbounded_channel();
	let env = Arc::new(Env {
		name: var("NAME", "svc"),
		back: var("BACK", "127.0.0.1:1"),
		back_name: var("BACK_NAME", "leaf"),
		truth: OpenOptions::new().append(true).create(true).open(var("TRUTH", "/dev/null")).expect("TRUTH"),
		think_ms: num("THINK_MS", "10"),
		steps: num("STEPS", "2") as u32,
		skip: num("SKIP", "0"),
		repeat: num("REPEAT", "0"),
		retries: num("RETRIES", "2") as u32,
		parallel: num("PARALLEL", "0"),
		background: num("BACKGROUND", "0"),
		slots: Semaphore::new(conns),
		client: reqwest::Client::builder().pool_max_idle_per_host(conns).no_proxy().build().expect("a client"),
		own: (var("MODE", "plain") == "own").then(Default::default),
		jobs: if pool > 0 { Some(send) } else { None },
	});
	let jobs = Arc::new(Mutex::new(receive));
	for _ in 0..pool {
		tokio::spawn(worker(env.clone(), jobs.clone()));
	}
	if num("TIMER_MS", "0") > 0.0 {
		tokio::spawn(timer(env.clone(), num("TIMER_MS", "0")));
	}
	let app = axum::Router::new().fallback(move |uri: Uri| handle(env.clone(), uri));
	let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{}", var("PORT", "0"))).await.expect("PORT");
	let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).expect("a handler");
	tokio::select! {
		r = axum::serve(listener, app) => r.expect("the server"),
		_ = term.recv() => (),
	}
}

fn main() {
	tokio::runtime::Builder::new_multi_thread()
		.worker_threads(num("THREADS", "4") as usize)
		.enable_all()
		.build()
		.expect("a runtime")
		.block_on(serve());
}
