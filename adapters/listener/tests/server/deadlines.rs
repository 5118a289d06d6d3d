//! Who is slow is cut off, or answered without being waited for.

use crate::peer::{MS, connect, read_all, read_reply, start};
use crate::runtimes::{On, on_every_runtime, serve};
use idv_listener::{Config, Reply, Request, StatusCode};
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn a_dripped_head_is_cut(on: On) {
    let handle = start(on, Config { head_timeout: 80 * MS, ..Config::default() });
    let mut stream = connect(&handle);
    let begun = Instant::now();
    stream.write_all(b"POST / HTTP/1.1\r\n").unwrap();
    while stream.write_all(b"x").is_ok() && begun.elapsed() < 2_000 * MS {
        std::thread::sleep(10 * MS);
    }
    assert!((80 * MS..1_000 * MS).contains(&begun.elapsed()), "cut after {:?}", begun.elapsed());
}

fn a_dripped_head_counts_from_its_first_byte_on_a_used_connection_too(on: On) {
    let handle = start(on, Config { head_timeout: 80 * MS, ..Config::default() });
    let mut stream = connect(&handle);
    stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    assert_eq!(read_reply(&mut stream).0, 200);
    std::thread::sleep(120 * MS);
    stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    assert_eq!(read_reply(&mut stream).0, 200);
    let begun = Instant::now();
    stream.write_all(b"GET / HT").unwrap();
    assert_eq!(read_all(&stream), "");
    assert!((75 * MS..1_000 * MS).contains(&begun.elapsed()), "cut after {:?}", begun.elapsed());
}

fn a_dripped_body_is_bounded_by_the_deadline(on: On) {
    let handle = start(on, Config { request_deadline: 100 * MS, ..Config::default() });
    let mut stream = connect(&handle);
    let begun = Instant::now();
    stream.write_all(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1000\r\n\r\n").unwrap();
    let dripping = stream.try_clone().unwrap();
    let drip = std::thread::spawn(move || {
        let mut dripping = dripping;
        for _ in 0..30 {
            std::thread::sleep(10 * MS);
            if dripping.write_all(b"x").is_err() {
                break;
            }
        }
    });
    let (status, _) = read_reply(&mut stream);
    let took = begun.elapsed();
    assert_eq!(status, 408);
    assert!((100 * MS..600 * MS).contains(&took), "answered after {took:?}");
    drip.join().unwrap();
}

fn the_deadline_counts_from_the_first_byte_of_the_head(on: On) {
    let config = Config { request_deadline: 400 * MS, head_timeout: 390 * MS, ..Config::default() };
    let slow = |_request: Request| async {
        smol::Timer::after(Duration::from_secs(10)).await;
        Reply::new(StatusCode::OK)
    };
    let handle = serve(on, config, slow);
    let mut stream = connect(&handle);
    let begun = Instant::now();
    stream.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    std::thread::sleep(300 * MS);
    stream.write_all(b"host: h\r\n\r\n").unwrap();
    assert_eq!(read_reply(&mut stream).0, 503);
    assert!((400 * MS..680 * MS).contains(&begun.elapsed()), "answered after {:?}", begun.elapsed());
}

fn g5_a_store_that_blocks_does_not_delay_the_503_and_finishes_its_work(on: On) {
    let stored = Arc::new(AtomicUsize::new(0));
    let counter = stored.clone();
    let storing = move |_request: Request| {
        let stored = counter.clone();
        async move {
            let work = smol::spawn(smol::unblock(move || {
                std::thread::sleep(600 * MS);
                stored.fetch_add(1, Ordering::SeqCst);
            }));
            let (done, wait) = smol::channel::bounded(1);
            smol::spawn(async move {
                work.await;
                let _ = done.send(()).await;
            })
            .detach();
            let _ = wait.recv().await;
            Reply::new(StatusCode::OK)
        }
    };
    let config = Config { request_deadline: 60 * MS, ..Config::default() };
    let handle = serve(on, config, storing);
    let mut stream = connect(&handle);
    let begun = Instant::now();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    assert_eq!(read_reply(&mut stream).0, 503);
    assert!(begun.elapsed() < 550 * MS, "answered after {:?}", begun.elapsed());
    while stored.load(Ordering::SeqCst) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(5));
        std::thread::sleep(5 * MS);
    }
}

fn an_idle_connection_is_closed(on: On) {
    let handle = start(on, Config { idle_timeout: 60 * MS, ..Config::default() });
    let mut used = connect(&handle);
    used.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    assert_eq!(read_reply(&mut used).0, 200);
    let begun = Instant::now();
    let fresh = connect(&handle);
    assert_eq!(read_all(&used), "");
    assert_eq!(read_all(&fresh), "");
    assert!(begun.elapsed() < 1_000 * MS);
}

fn a_peer_that_does_not_read_is_cut(on: On) {
    let config =
        Config { reply_timeout: 80 * MS, idle_timeout: 80 * MS, max_connections: 1, ..Config::default() };
    let big = |_request: Request| async { Reply::text(StatusCode::OK, vec![b'x'; 64 * 1024 * 1024]) };
    let handle = serve(on, config, big);
    let mut stuck = connect(&handle);
    stuck.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    // The one slot is free again only once the first connection is gone.
    let mut next = connect(&handle);
    next.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    let mut status = [0; 12];
    next.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
}

on_every_runtime!(
    a_dripped_head_is_cut,
    a_dripped_head_counts_from_its_first_byte_on_a_used_connection_too,
    a_dripped_body_is_bounded_by_the_deadline,
    the_deadline_counts_from_the_first_byte_of_the_head,
    g5_a_store_that_blocks_does_not_delay_the_503_and_finishes_its_work,
    an_idle_connection_is_closed,
    a_peer_that_does_not_read_is_cut,
);
