//! What is found, and what is left.

use super::*;
use proptest::prelude::*;

const TOKEN: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.abcdefghijklmnop";

fn knowing(token: &str) -> Arc<Redactor> {
    let redactor = Arc::new(Redactor::default());
    redactor.token_history("a").remember(token);
    redactor
}

#[test]
fn removes_the_token_and_keeps_the_rest() {
    let text = format!("bad: Bearer {TOKEN}, sorry");
    assert_eq!(
        knowing(TOKEN).redact(&text),
        "bad: Bearer [redacted], sorry"
    );
}

#[test]
fn a_run_of_sixteen_is_removed_and_of_fifteen_is_not() {
    let redactor = knowing(TOKEN);
    assert_eq!(redactor.redact(&TOKEN[7..23]), MARK);
    assert_eq!(redactor.redact(&TOKEN[7..22]), &TOKEN[7..22]);
}

#[test]
fn a_short_secret_is_found_whole_and_form_encoded() {
    let redactor = Redactor::default();
    redactor.guard("p~q&r");
    assert_eq!(redactor.redact("s=p~q&r;"), "s=[redacted];");
    assert_eq!(
        redactor.redact("client_secret=p%7Eq%26r"),
        "client_secret=[redacted]"
    );
}

#[test]
fn former_tokens_are_removed_too() {
    let redactor = knowing(TOKEN);
    redactor
        .token_history("a")
        .remember("another-token-that-came-afterwards");
    assert_eq!(redactor.redact(TOKEN), MARK);
}

#[test]
fn tokens_of_one_owner_never_displace_those_of_another() {
    let redactor = knowing(TOKEN);
    for number in 0..MAX_TOKENS * 3 {
        let token = format!("a-token-of-another-owner-{number}");
        redactor.token_history("b").remember(&token);
        assert_eq!(redactor.redact(&token), MARK);
    }
    assert_eq!(redactor.redact(TOKEN), MARK);
}

#[test]
fn the_text_around_a_secret_may_be_of_any_alphabet() {
    let text = format!("é{TOKEN}é");
    assert_eq!(knowing(TOKEN).redact(&text), "é[redacted]é");
}

proptest! {
    #[test]
    fn no_sixteen_characters_survive(
        before in "\\PC{0,20}", after in "\\PC{0,20}", from in 0_usize..20, len in 16_usize..30,
    ) {
        let piece = &TOKEN[from..(from + len).min(TOKEN.len())];
        let redactor = knowing(TOKEN);
        let text = format!("{before}{piece}{after}");
        let clean = redactor.redact(&text).into_owned();
        for window in TOKEN.as_bytes().windows(WINDOW) {
            let window = std::str::from_utf8(window).unwrap();
            prop_assert!(!clean.contains(window), "{clean}");
        }
    }
}

/// The token in an encoding.
fn encodings() -> Vec<(&'static str, String)> {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine};
    let each = |form: &dyn Fn(u8) -> String| TOKEN.bytes().map(form).collect::<String>();
    let percent = |text: &str| {
        text.bytes()
            .map(|b| format!("%{b:02x}"))
            .collect::<String>()
    };
    let mixed = TOKEN.bytes().enumerate().map(|(at, b)| match at % 5 {
        0 => format!("%{b:02X}"),
        1 => format!("&#{b};"),
        2 => format!("\\u{b:04x}"),
        3 => format!("&#X{b:x};"),
        _ => char::from(b).to_string(),
    });
    let backwards: String = TOKEN.chars().rev().collect();
    let between = |c: char| TOKEN.chars().flat_map(|t| [t, c]).collect::<String>();
    let hex = each(&|b| format!("{b:02x}"));
    let mut all = vec![
        ("hex", hex.clone()),
        ("upper hex", hex.to_uppercase()),
        ("hex with colons", each(&|b| format!("{b:02X}:"))),
        ("hex with spaces", each(&|b| format!("{b:02x} "))),
        ("hex with prefixes", each(&|b| format!("0x{b:02x}, "))),
        ("hex escapes", each(&|b| format!("\\x{b:02x}"))),
        ("percent", percent(TOKEN)),
        ("percent twice", percent(&percent(TOKEN))),
        ("percent u", each(&|b| format!("%u{b:04x}"))),
        (
            "percent here and there",
            TOKEN.replace(['e', 'I'], "%65").replace("%65yJ", "eyJ"),
        ),
        ("decimal entities", each(&|b| format!("&#{b};"))),
        ("padded entities", each(&|b| format!("&#000{b}"))),
        ("hex entities", each(&|b| format!("&#x{b:X};"))),
        ("escaped entities", each(&|b| format!("&amp;#x{b:x};"))),
        ("JSON", each(&|b| format!("\\u{b:04x}"))),
        ("JavaScript", each(&|b| format!("\\u{{{b:x}}}"))),
        ("quoted-printable", each(&|b| format!("={b:02X}"))),
        ("mixed", mixed.collect()),
        ("backwards", backwards.clone()),
        (
            "backwards in hex",
            backwards.bytes().map(|b| format!("{b:02x}")).collect(),
        ),
        ("backwards in base64", BASE64_STANDARD.encode(&backwards)),
        ("hex backwards", hex.chars().rev().collect()),
        ("spaces", between(' ')),
        ("soft hyphens", between('\u{ad}')),
        ("no-break spaces", between('\u{a0}')),
        ("accents", between('\u{301}')),
        (
            "escaped soft hyphens",
            TOKEN.chars().map(|c| format!("{c}&#173;")).collect(),
        ),
        (
            "named soft hyphens",
            each(&|b| format!("{}&shy;", char::from(b))),
        ),
        (
            "open soft hyphens",
            each(&|b| format!("{}&shy", char::from(b))),
        ),
        (
            "joiners",
            each(&|b| format!("{}&zwnj;&zwj;", char::from(b))),
        ),
        (
            "named spaces",
            each(&|b| format!("{}&ZeroWidthSpace;", char::from(b))),
        ),
        (
            "spaces and tabs",
            each(&|b| format!("{}&nbsp;&Tab;", char::from(b))),
        ),
        (
            "named solidus in between",
            each(&|b| format!("{}&solb;", char::from(b))),
        ),
        (
            "escaped entities in between",
            each(&|b| format!("{}&amp;shy;", char::from(b))),
        ),
        (
            "hex with spaces in base64",
            BASE64_STANDARD.encode(each(&|b| format!("{b:02x}"))),
        ),
        ("base64 in percent", percent(&BASE64_STANDARD.encode(TOKEN))),
        (
            "base64 twice",
            BASE64_STANDARD.encode(BASE64_STANDARD.encode(TOKEN)),
        ),
    ];
    for before in ["", "B", "Be", "Bearer "] {
        let text = format!("{before}{TOKEN}?>");
        all.push(("base64", BASE64_STANDARD.encode(&text)));
        all.push(("base64url", BASE64_URL_SAFE_NO_PAD.encode(&text)));
    }
    all
}

#[test]
fn the_usual_encodings_are_seen_through() {
    let redactor = knowing(TOKEN);
    for (name, encoded) in encodings() {
        for text in [encoded.clone(), format!("You sent {encoded}. It is bad!")] {
            let clean = redactor.redact(&text);
            assert!(clean.contains(MARK), "{name}: {text}");
            assert!(clean.len() < MARK.len() + 40, "{name}: {clean}");
        }
    }
}

#[test]
fn an_entity_may_stand_for_a_character_of_a_secret() {
    let redactor = Redactor::default();
    redactor.guard("a!b$c(d)e[f]g{h}i|j~k*l:m,n");
    let text = "a&excl;b&dollar;c&lpar;d&rpar;e&lsqb;f&rsqb;g&lcub;h&rcub;i&vert;j~k&ast;l:m,n";
    assert_eq!(redactor.redact(text), MARK);
}

/// What is decoded once more is text again, however long the rest around it.
#[test]
fn the_second_layer_reads_only_text() {
    use base64::prelude::{BASE64_STANDARD, Engine};
    let mut seed = 7_u32;
    let mut noise = |length: usize| -> Vec<u8> {
        let next = |_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed.to_be_bytes()[0]
        };
        (0..length).map(next).collect()
    };
    let text = BASE64_STANDARD.encode(noise(3072));
    let views = views::<()>(&text, WINDOW);
    let searched: usize = views.iter().map(|view| view.bytes().len()).sum();
    assert!(searched < text.len() * 15 / 2, "{searched}");

    let inner = BASE64_STANDARD.encode(TOKEN);
    for spread in [inner.clone(), inner.replace("J", "J\r\n ")] {
        let outer = [noise(1000), spread.into_bytes(), noise(1001)].concat();
        let clean = knowing(TOKEN)
            .redact(&BASE64_STANDARD.encode(outer))
            .into_owned();
        assert!(clean.contains(MARK), "{clean}");
    }
}

#[test]
fn sixteen_encoded_characters_are_enough() {
    use base64::prelude::{BASE64_STANDARD, Engine};
    let redactor = knowing(TOKEN);
    for from in 0..TOKEN.len() - WINDOW {
        let piece = &TOKEN[from..from + WINDOW];
        let hex: String = piece.bytes().map(|b| format!("{b:02x}")).collect();
        let percent: String = piece.bytes().map(|b| format!("%{b:02x}")).collect();
        for text in [hex, percent, BASE64_STANDARD.encode(piece)] {
            assert!(redactor.redact(&text).contains(MARK), "{text}");
        }
    }
}

#[test]
fn other_text_stays_as_it_is() {
    let redactor = knowing(TOKEN);
    redactor.guard("a b c d e f g h");
    for text in [
        "The offer 'contoso-vm' is busy (100 % of 3 slots); see &amp;c. or \\u0041=20.",
        "56615b67-2185-49fe-80d2-c4ddf77bb2e8",
        "%zz &#; &#x; \\u12 \\x1 =1 % & \\ 0x",
        "VGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZw==",
        "",
        "日本語のメッセージ",
    ] {
        assert_eq!(redactor.redact(text), text);
        assert_eq!(redactor.plain_text(text, 1024), text);
    }
    assert_eq!(
        redactor.redact("x a%20b%20c d e&#32;f g h y"),
        "x [redacted] y"
    );
}

#[test]
fn plain_text_is_one_visible_line_of_limited_length() {
    let redactor = knowing(TOKEN);
    let text = "a\u{202e}b\u{200b}c\r\nd\u{e0041}e\u{fe0f}f\u{7}g";
    assert_eq!(redactor.plain_text(text, 64), "abcdefg");
    assert_eq!(redactor.plain_text("ééé", 3), "é");
    for c in [
        '\u{7}',
        '\u{ad}',
        '\u{200d}',
        '\u{2066}',
        '\u{fe00}',
        '\u{e0020}',
        '\u{3164}',
    ] {
        let hidden: String = TOKEN.chars().flat_map(|t| [t, c, c]).collect();
        assert_eq!(redactor.plain_text(&hidden, 64), MARK, "{c:?}");
    }
    // A secret at the end of what is read is not shown in part.
    for before in 0..64 * READ_AHEAD {
        let text = format!("{}{TOKEN}", "\u{1}.".repeat(before));
        let clean = redactor.plain_text(&text, 64);
        assert!(!clean.contains(&TOKEN[..WINDOW]), "{clean}");
    }
}

#[test]
fn sixteen_bytes_of_an_identifier_are_known() {
    let redactor = knowing(TOKEN);
    assert!(redactor.knows(&TOKEN.as_bytes()[7..23]));
    let backwards: Vec<u8> = TOKEN.bytes().rev().collect();
    assert!(redactor.knows(&backwards));
    assert!(!redactor.knows(&TOKEN.as_bytes()[7..22]));
    assert!(!Redactor::default().knows(TOKEN.as_bytes()));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[%&#;xu\\\\{}=0-9a-fA-F \\PC]{0,120}") {
        let redactor = knowing(TOKEN);
        redactor.guard("ab");
        let _ = redactor.plain_text(&text, 64);
    }
}
