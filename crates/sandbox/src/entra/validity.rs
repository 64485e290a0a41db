//! When a certificate begins and ends (RFC 5280, section 4.1.2.5). `webpki` reads it too, but
//! tells nobody, and verifies it only for chains, which Entra does not look at.

use jiff::Timestamp;

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// The two times of a certificate in DER.
pub(super) fn validity(certificate: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let mut outer = certificate;
    let mut certificate = take(&mut outer, SEQUENCE)?;
    let mut rest = take(&mut certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        take(&mut rest, VERSION)?;
    }
    take(&mut rest, INTEGER)?; // serial number
    take(&mut rest, SEQUENCE)?; // signature algorithm
    take(&mut rest, SEQUENCE)?; // issuer
    let mut validity = take(&mut rest, SEQUENCE)?;
    Some((time(&mut validity)?, time(&mut validity)?))
}

/// The content of the next element, which must have that tag.
fn take<'a>(rest: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (&found, after) = rest.split_first()?;
    let (&first, mut after) = after.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let (bytes, content) = after.split_at_checked(usize::from(first & 0x7f))?;
        // More than four bytes of length would be more than a certificate can have.
        length = (bytes.len() <= 4).then(|| {
            bytes
                .iter()
                .fold(0, |length, &byte| length << 8 | usize::from(byte))
        })?;
        after = content;
    }
    let (content, after) = after.split_at_checked(length)?;
    *rest = after;
    (found == tag).then_some(content)
}

fn time(rest: &mut &[u8]) -> Option<Timestamp> {
    let tag = *rest.first()?;
    let text = std::str::from_utf8(take(rest, tag)?).ok()?;
    let digits = text.strip_suffix('Z')?;
    let century = match tag {
        GENERALIZED_TIME => "",
        // Years of two digits are from 1950 to 2049.
        UTC_TIME if digits < "50" => "20",
        UTC_TIME => "19",
        _ => return None,
    };
    Timestamp::strptime("%Y%m%d%H%M%S%z", format!("{century}{digits}+0000")).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    #[test]
    fn both_spellings_of_a_year_are_read() {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["a".to_owned()]).unwrap();
        params.not_before = date_time_ymd(1999, 12, 31);
        params.not_after = date_time_ymd(2051, 2, 3);
        let certificate = params.self_signed(&key).unwrap();
        let (begins, ends) = validity(certificate.der()).unwrap();
        assert_eq!(begins.to_string(), "1999-12-31T00:00:00Z");
        assert_eq!(ends.to_string(), "2051-02-03T00:00:00Z");
    }

    #[test]
    fn what_is_cut_or_no_certificate_has_no_validity() {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["a".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let der = certificate.der();
        assert!((0..100).all(|length| validity(&der[..length]).is_none()));
        assert_eq!(validity(b"0\x82\xff\xff"), None);
    }
}
