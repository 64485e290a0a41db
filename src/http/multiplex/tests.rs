//! Frames as they could come, and in any pieces.

use super::*;

fn frame(kind: u8, flags: u8, stream: u32, length: usize) -> Vec<u8> {
    let mut bytes = u32::try_from(length).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(vec![0xff; length]);
    bytes
}

fn frames() -> Frames {
    Counted::multiplexed((), 100).frames.take().unwrap()
}

const END_HEADERS: u8 = 4;
const SETTINGS: u8 = 4;

/// Two requests, the second with a body and trailers; a reset; and a window update.
fn requests() -> Vec<u8> {
    [
        vec![b'P'; 24],
        frame(SETTINGS, 0, 0, 6),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, 30),
        frame(HEADERS, 0, 3, 60),
        frame(CONTINUATION, END_HEADERS, 3, 40),
        frame(DATA, 0, 3, 1000),
        frame(HEADERS, END_HEADERS | END_STREAM, 3, 10),
        frame(HEADERS, END_HEADERS | END_STREAM, 5, 0),
        frame(RST_STREAM, 0, 5, 4),
        frame(8, 0, 0, 4),
    ]
    .concat()
}

#[test]
fn requests_are_open_until_they_are_answered_or_reset() {
    let bytes = requests();
    // In one piece, in single bytes, and in between.
    for size in [bytes.len(), 1, 2, 7, 13, 100] {
        let mut frames = frames();
        for piece in bytes.chunks(size) {
            frames.received(piece).unwrap();
        }
        assert_eq!(frames.count.get(), 2, "in pieces of {size}");
        let answers = [
            frame(SETTINGS, 0, 0, 0),
            frame(HEADERS, END_HEADERS, 3, 50),
            frame(DATA, 0, 3, 500),
            frame(HEADERS, END_HEADERS | END_STREAM, 1, 50),
        ];
        for piece in answers.concat().chunks(size) {
            frames.sent(piece);
        }
        assert_eq!(frames.count.get(), 1);
        frames.sent(&frame(DATA, END_STREAM, 3, 0));
        // It cannot be closed twice.
        frames.sent(&frame(RST_STREAM, 0, 3, 4));
        assert_eq!(frames.count.get(), 0);
    }
}

#[test]
fn a_head_has_its_limit_over_all_its_frames() {
    let one_too_many = |heads: &[Vec<u8>]| {
        let mut frames = frames();
        frames.received(&[b'P'; 24]).unwrap();
        frames.received(&heads.concat()).is_err()
    };
    assert!(!one_too_many(&[frame(HEADERS, 0, 1, 100)]));
    assert!(one_too_many(&[frame(HEADERS, 0, 1, 101)]));
    let continued = |length| [frame(HEADERS, 0, 1, 60), frame(CONTINUATION, 0, 1, length)];
    assert!(!one_too_many(&continued(40)));
    assert!(one_too_many(&continued(41)));
    // Each head has its own, and bodies have none.
    let two = [
        frame(HEADERS, END_HEADERS, 1, 90),
        frame(DATA, 0, 1, 5000),
        frame(HEADERS, END_HEADERS, 3, 90),
    ];
    assert!(!one_too_many(&two));
    // Refused as soon as it is announced.
    assert!(one_too_many(&[frame(HEADERS, 0, 1, 101)[..9].to_vec()]));
}

#[test]
fn too_many_open_requests_end_the_connection() {
    let mut frames = frames();
    frames.received(&[b'P'; 24]).unwrap();
    let request = |n: usize| {
        let id = u32::try_from(2 * n + 1).unwrap();
        frame(HEADERS, END_HEADERS | END_STREAM, id, 20)
    };
    for n in 0..CUT_OFF {
        frames.received(&request(n)).unwrap();
    }
    // One is over, so one more may begin; then none.
    frames.sent(&frame(DATA, END_STREAM, 1, 0));
    frames.received(&request(CUT_OFF)).unwrap();
    assert_eq!(frames.count.get(), CUT_OFF);
    assert!(frames.received(&request(CUT_OFF + 1)).is_err());
}
