//! What awc gets to read of what a server sends, however that is split.

use proptest::prelude::*;
use proptest::sample::Index;

use super::replay::{Replay, ReplayEnd, replay};
use super::*;

const MAX_HEAD: usize = 128 * 1024;

/// What is passed on of an answer that comes in these pieces, and how it ends.
fn filtered(pieces: Vec<io::Result<Vec<u8>>>, proves_end: bool) -> (String, ReplayEnd) {
    let Replay { passed, end, .. } = replay(pieces, proves_end);
    (String::from_utf8(passed).unwrap(), end)
}

/// The same, for a text that comes at once, in lines, and byte by byte.
fn passed(text: &str, proves_end: bool) -> (String, ReplayEnd) {
    let in_pieces = |pieces: Vec<&[u8]>| {
        let pieces = pieces.into_iter().filter(|piece| !piece.is_empty());
        filtered(pieces.map(|piece| Ok(piece.to_vec())).collect(), proves_end)
    };
    let bytes = text.as_bytes();
    let whole = in_pieces(vec![bytes]);
    for pieces in [
        bytes.chunks(1).collect(),
        bytes.split_inclusive(|byte| *byte == b'\n').collect(),
    ] {
        assert_eq!(in_pieces(pieces), whole, "{text:?}");
    }
    whole
}

#[test]
fn what_awc_reads_rightly_passes_as_it_is() {
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\n{ }\r\n0\r\nA: b\r\n\r\n",
    ] {
        let expected = (text.to_owned(), ReplayEnd::Usable);
        assert_eq!(passed(text, false), expected);
        // Interim answers before it are dropped.
        let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nContent-Length: 9\r\n\
                       Transfer-Encoding: chunked\r\n\r\n";
        for times in [1, 10, 50] {
            let text = format!("{}{text}", interim.repeat(times));
            assert_eq!(passed(&text, false), expected, "{times}");
        }
    }
}

#[test]
fn a_body_that_ends_with_the_connection_comes_in_chunks() {
    let head = "HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    for old in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n"] {
        for (body, chunks) in [
            ("", ""),
            ("{\"a\":\"bcdefgh\"}", "f\r\n{\"a\":\"bcdefgh\"}\r\n"),
        ] {
            // An empty piece would be the end.
            let sent = [old, body];
            let sent = sent.into_iter().filter(|piece| !piece.is_empty());
            let pieces = || {
                sent.clone()
                    .map(|piece| Ok(piece.into()))
                    .collect::<Vec<_>>()
            };
            let (text, end) = filtered(pieces(), true);
            assert_eq!(
                (text, end),
                (format!("{head}{chunks}0\r\n\r\n"), ReplayEnd::Over)
            );
            let (text, end) = filtered(pieces(), false);
            assert_eq!(
                (text, end),
                (format!("{head}{chunks}"), ReplayEnd::Unproven)
            );
            // TLS that ends without saying so.
            let mut rude = pieces();
            rude.push(Err(io::ErrorKind::UnexpectedEof.into()));
            let (text, end) = filtered(rude, true);
            assert_eq!(
                (text, end),
                (format!("{head}{chunks}"), ReplayEnd::Unproven)
            );
            let mut reset = pieces();
            reset.push(Err(io::ErrorKind::ConnectionReset.into()));
            let (text, end) = filtered(reset, false);
            assert_eq!((text, end), (format!("{head}{chunks}"), ReplayEnd::Cut));
        }
    }
    let long = "x".repeat(3 * PIECE);
    let text = format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{long}");
    let (text, end) = filtered(vec![Ok(text.into_bytes())], true);
    assert_eq!(
        (text.matches('x').count(), end),
        (long.len(), ReplayEnd::Over)
    );
}

#[test]
fn an_early_end_is_an_error() {
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let expected = (text.to_owned(), ReplayEnd::Cut);
        assert_eq!(passed(text, true), expected);
    }
    for text in ["H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 Continue\r\n\r\n"] {
        assert_eq!(passed(text, true), (String::new(), ReplayEnd::Cut));
    }
    assert_eq!(passed("", true), (String::new(), ReplayEnd::Over));
}

#[test]
fn what_follows_an_answer_ends_the_connection() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    ] {
        for more in ["x", "\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"] {
            for before in ["", "HTTP/1.1 102 Processing\r\n\r\n"] {
                let text = format!("{before}{answer}{more}");
                let expected = (answer.to_owned(), ReplayEnd::Over);
                assert_eq!(passed(&text, false), expected, "{more}");
            }
        }
    }
}

#[test]
fn what_is_in_doubt_is_refused() {
    use Misframed::{Chunk, LongHead, NotHttp, SwitchingProtocols, TooMuchInterim};
    let interim = "HTTP/1.1 102 Processing\r\n\r\n";
    let padded = format!("HTTP/1.1 103 Early\r\nLink: {}\r\n\r\n", "x".repeat(4000));
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    let long_name = format!("HTTP/1.1 200 OK\r\n{}: x\r\n\r\n", "x".repeat(70_000));
    for (text, expected) in [
        ("garbage\r\n\r\n".to_owned(), NotHttp),
        // Also when its end does not come, or not even that of its first line.
        ("SSH-2.0-OpenSSH_9.6\r\n".to_owned(), NotHttp),
        ("\u{15}\u{3}\u{3}\0\u{2}\u{2}P".to_owned(), NotHttp),
        ("HTTP/2".to_owned(), NotHttp),
        ("HTTP/1.1 2x".to_owned(), NotHttp),
        ("HTTP/1.1 200 OK\r\nA\0".to_owned(), NotHttp),
        (format!("{interim}garbage\r\n\r\n"), NotHttp),
        (format!("{interim}garbage"), NotHttp),
        (
            format!("{interim}HTTP/1.1 101 Switching\r\n\r\n{last}"),
            SwitchingProtocols,
        ),
        (format!("{}{last}", interim.repeat(101)), TooMuchInterim),
        (format!("{}{last}", padded.repeat(40)), TooMuchInterim),
        (long_name, LongHead),
        ("\r\n".repeat(9), NotHttp),
        (format!("{}{last}", "\n".repeat(17)), NotHttp),
        (format!("{interim}{}{last}", "\n".repeat(17)), NotHttp),
        (format!("\r{last}"), NotHttp),
    ] {
        let (passed, end) = passed(&text, true);
        assert_eq!(
            (passed.as_str(), end),
            ("", ReplayEnd::Refused(expected)),
            "{text:?}"
        );
    }
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n";
    let (passed, end) = passed(&format!("{head}x\r\n"), true);
    assert_eq!((passed.as_str(), end), (head, ReplayEnd::Refused(Chunk)));
}

#[test]
fn a_head_is_as_long_as_it_may_be_and_no_longer() {
    let head = |length: usize| {
        let (begin, end) = ("HTTP/1.1 200 OK\r\nX: ", "\r\nContent-Length: 0\r\n\r\n");
        let padding = "x".repeat(length - begin.len() - end.len());
        format!("{begin}{padding}{end}")
    };
    let longest = head(MAX_HEAD);
    assert_eq!(passed(&longest, true), (longest, ReplayEnd::Usable));
    let refused = (String::new(), ReplayEnd::Refused(Misframed::LongHead));
    assert_eq!(passed(&head(MAX_HEAD + 1), true), refused);
    // Its end need not come for that.
    let endless = &head(2 * MAX_HEAD)[..MAX_HEAD + 1];
    assert_eq!(passed(endless, true), refused);
    let blank = "\r\n".repeat(8);
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    for (text, expected) in [
        (format!("{blank}{answer}"), format!("{blank}{answer}")),
        (
            format!("HTTP/1.1 100 \r\n\r\n{blank}{answer}"),
            format!("{blank}{answer}"),
        ),
        (answer.replace("\r\n", "\n"), answer.replace("\r\n", "\n")),
    ] {
        assert_eq!(passed(&text, true), (expected, ReplayEnd::Usable));
    }
}

/// With the chunks of a body that ended with the connection put together.
fn joined(mut passed: &[u8]) -> Vec<u8> {
    let end = b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    let Some(at) = passed.windows(end.len()).position(|window| window == end) else {
        return passed.to_vec();
    };
    let mut joined = passed[..at].to_vec();
    passed = &passed[at + end.len()..];
    while let Some(line_end) = passed.iter().position(|byte| *byte == b'\r') {
        let size = std::str::from_utf8(&passed[..line_end]).unwrap();
        let data_end = line_end + 2 + usize::from_str_radix(size, 16).unwrap();
        joined.extend_from_slice(&passed[line_end + 2..data_end]);
        passed = &passed[data_end + 2..];
    }
    joined
}

/// Answers of which most are well-formed, or nearly.
fn answers() -> impl Strategy<Value = Vec<u8>> {
    let part = |parts: &[&'static str], most: usize| {
        let one = prop::sample::select(parts.to_vec());
        prop::collection::vec(one, 0..=most).prop_map(|parts| parts.concat())
    };
    let interim = part(
        &[
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 103 \nA: b\n\n",
            "\r\n",
        ],
        3,
    );
    let status = prop::sample::select(vec![
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.0 202 \n",
        "HTTP/1.1 204\r\n",
        "HTTP/1.1 101 No\r\n",
        "SSH-2.0\r\n",
    ]);
    let fields = part(
        &[
            "Content-Length: 7\r\n",
            "Content-Length: x\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Host: a\r\n",
            "Upgrade: x\n",
            "X: y\r\n",
            " folded\r\n",
        ],
        3,
    );
    let body = part(&["5\r\nhello\r\n", "0\r\n", "\r\n", "{}", "A: b\r\n"], 5);
    let change = prop::option::of((any::<Index>(), any::<u8>()));
    let end = prop::option::of(any::<Index>());
    (interim, status, fields, body, change, end).prop_map(
        |(interim, status, fields, body, change, end)| {
            let mut answer = format!("{interim}{status}{fields}\r\n{body}").into_bytes();
            if let Some((at, byte)) = change {
                *at.get_mut(&mut answer) = byte;
            }
            if let Some(end) = end {
                answer.truncate(end.index(answer.len()));
            }
            answer
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_pieces_change_nothing(
        answer in answers(),
        cuts in prop::collection::vec(any::<Index>(), 0..8),
        proves_end in any::<bool>(),
    ) {
        let read = |mut cuts: Vec<usize>| {
            cuts.extend([0, answer.len()]);
            cuts.sort_unstable();
            cuts.dedup();
            let pieces = cuts.windows(2).map(|cut| Ok(answer[cut[0]..cut[1]].to_vec()));
            let replay = replay(pieces.collect(), proves_end);
            (joined(&replay.passed), replay.end)
        };
        let whole = read(Vec::new());
        let cuts = cuts.iter().map(|cut| cut.index(answer.len() + 1)).collect();
        prop_assert_eq!(&read(cuts), &whole);
        prop_assert_eq!(&read((0..answer.len()).collect()), &whole);
    }
}
