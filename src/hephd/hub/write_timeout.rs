//! Bounds how long a client may take to receive an answer. hyper bounds how long a request may take to arrive, and has
//! nothing for the way back.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A stream whose writes time out.
#[derive(Debug)]
pub(super) struct WithWriteTimeout<S> {
    stream: S,
    limit: Duration,
    // Runs from the first byte of what is to be written until all of it has left.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> WithWriteTimeout<S> {
    pub(super) fn new(stream: S, limit: Duration) -> WithWriteTimeout<S> {
        WithWriteTimeout {
            stream,
            limit,
            deadline: None,
        }
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    fn in_time<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let limit = self.limit;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(limit)));
        if written.is_pending() {
            ready!(deadline.as_mut().poll(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WithWriteTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WithWriteTimeout<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.in_time(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.in_time(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_ready() {
            self.deadline = None;
            return flushed;
        }
        self.in_time(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn run(test: impl Future<Output = ()>) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().build().unwrap().block_on(test);
    }

    #[test]
    fn an_answer_that_is_not_received_times_out() {
        run(async {
            let (ours, mut theirs) = tokio::io::duplex(16);
            let mut ours = WithWriteTimeout::new(ours, Duration::from_millis(10));
            let written = ours.write_all(&[1; 100]).await;
            assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
            theirs.read_exact(&mut [0; 16]).await.unwrap();
        });
    }

    #[test]
    fn a_pause_between_two_answers_does_not_count() {
        run(async {
            let (ours, mut theirs) = tokio::io::duplex(16);
            let mut ours = WithWriteTimeout::new(ours, Duration::from_secs(60));
            ours.write_all(&[1; 10]).await.unwrap();
            assert!(ours.deadline.is_some());
            ours.flush().await.unwrap();
            assert!(ours.deadline.is_none());
            theirs.read_exact(&mut [0; 10]).await.unwrap();
        });
    }
}
