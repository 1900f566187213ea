//! Pictures of entries: decoded, brought to a size for pages, and encoded anew, so that nothing of the
//! file as uploaded is kept: no EXIF or XMP that names an author or a place, no second file behind the
//! picture.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits};

/// Pixels that a picture may have as uploaded, 40 million: what is decoded then takes 160 MB at most.
pub const PIXELS: u64 = 40_000_000;
/// Pixels of a picture's longer side as it is kept.
pub const SIDE: u32 = 2400;
/// Bytes from which a picture without transparency is kept as JPEG, whatever it was.
const LARGE_PNG: usize = 1 << 20;
/// What a decoder may take, in bytes.
const MEMORY: u64 = 400 << 20;

/// Why a picture was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PictureError {
    /// Of another kind.
    #[error("this is no PNG, JPEG or WebP picture; export it as one of these")]
    Kind,
    /// Too many pixels: decoding it would take more memory than there is for one picture.
    #[error("the picture has {width} × {height} pixels; at most {PIXELS} in all are taken. Make it smaller")]
    Pixels {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// It cannot be decoded.
    #[error("the picture is cut off or broken ({0}); export it anew")]
    Broken(String),
}

/// A picture as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The file.
    pub bytes: Vec<u8>,
    /// `image/png` or `image/jpeg`.
    pub media_type: &'static str,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

/// Decodes a picture and encodes it anew. Of a moving one the first frame is kept; one that a camera
/// marked as turned is turned.
///
/// # Errors
/// [`PictureError`].
pub fn encode_anew(bytes: &[u8]) -> Result<Encoded, PictureError> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(broken)?;
    let format =
        reader.format().filter(|f| matches!(f, ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP));
    let format = format.ok_or(PictureError::Kind)?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MEMORY);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > PIXELS {
        return Err(PictureError::Pixels { width, height });
    }
    let turned = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(broken)?;
    picture.apply_orientation(turned);
    if picture.width().max(picture.height()) > SIDE {
        picture = picture.thumbnail(SIDE, SIDE);
    }
    encode(&picture, format)
}

fn encode(picture: &DynamicImage, format: ImageFormat) -> Result<Encoded, PictureError> {
    let (width, height) = (picture.width(), picture.height());
    let clear = picture.color().has_alpha() && picture.to_rgba8().pixels().any(|pixel| pixel.0[3] < 255);
    if clear || format == ImageFormat::Png {
        let mut bytes = Vec::new();
        let encoder = PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive);
        let same = match clear {
            true => DynamicImage::ImageRgba8(picture.to_rgba8()),
            false => DynamicImage::ImageRgb8(picture.to_rgb8()),
        };
        same.write_with_encoder(encoder).map_err(broken)?;
        if clear || bytes.len() < LARGE_PNG {
            return Ok(Encoded { bytes, media_type: "image/png", width, height });
        }
    }
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, 86);
    DynamicImage::ImageRgb8(picture.to_rgb8()).write_with_encoder(encoder).map_err(broken)?;
    Ok(Encoded { bytes, media_type: "image/jpeg", width, height })
}

fn broken(error: impl std::fmt::Display) -> PictureError {
    PictureError::Broken(error.to_string().chars().take(120).collect())
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage, Rgba, RgbaImage};

    use super::*;

    fn written(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn red(width: u32, height: u32) -> DynamicImage {
        DynamicImage::ImageRgb8(RgbImage::from_pixel(width, height, Rgb([200, 10, 10])))
    }

    /// A JPEG with an EXIF segment that names an author and says the picture is turned by 90 degrees.
    fn with_exif(picture: &[u8]) -> Vec<u8> {
        let author = b"Alice Author\0";
        let mut tiff = b"II*\0\x08\0\0\0\x02\0".to_vec();
        tiff.extend(b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0");
        tiff.extend(b"\x3b\x01\x02\0");
        tiff.extend(u32::try_from(author.len()).unwrap().to_le_bytes());
        tiff.extend(38u32.to_le_bytes());
        tiff.extend(0u32.to_le_bytes());
        tiff.extend(author);
        let length = u16::try_from(tiff.len() + 8).unwrap();
        let mut file = picture[..2].to_vec();
        file.extend([0xff, 0xe1]);
        file.extend(length.to_be_bytes());
        file.extend(b"Exif\0\0");
        file.extend(tiff);
        file.extend(&picture[2..]);
        file
    }

    #[test]
    fn what_a_file_says_of_its_author_is_gone_and_its_turn_is_made() {
        let file = with_exif(&written(&red(40, 20), ImageFormat::Jpeg));
        assert!(file.windows(5).any(|w| w == b"Alice"));
        let kept = encode_anew(&file).unwrap();
        assert_eq!((kept.width, kept.height, kept.media_type), (20, 40, "image/jpeg"));
        assert!(
            !kept.bytes.windows(5).any(|w| w == b"Alice") && !kept.bytes.windows(4).any(|w| w == b"Exif")
        );
        // what hangs behind a picture is not kept either
        let mut png = written(&red(2, 2), ImageFormat::Png);
        png.extend(b"PK\x03\x04 Alice");
        assert!(!encode_anew(&png).unwrap().bytes.windows(5).any(|w| w == b"Alice"));
    }

    #[test]
    fn each_kind_is_taken_and_small_ones_stay_as_they_are() {
        let clear = DynamicImage::ImageRgba8(RgbaImage::from_pixel(3, 1, Rgba([1, 2, 3, 40])));
        for (picture, format, media_type) in [
            (red(1, 1), ImageFormat::Png, "image/png"),
            (red(1, 1), ImageFormat::Jpeg, "image/jpeg"),
            (red(1, 1), ImageFormat::WebP, "image/jpeg"),
            (clear, ImageFormat::WebP, "image/png"),
        ] {
            let kept = encode_anew(&written(&picture, format)).unwrap();
            assert_eq!(kept.media_type, media_type);
            assert_eq!((kept.width, kept.height), (picture.width(), picture.height()));
        }
        let kept = encode_anew(&written(&red(5000, 10), ImageFormat::Png)).unwrap();
        assert_eq!((kept.width, kept.height), (SIDE, 5));
    }

    #[test]
    fn a_picture_that_would_fill_the_memory_is_refused_before_it_is_decoded() {
        // 60,000 × 60,000 pixels in a few bytes: only the header says so
        let mut bomb = written(&red(1, 1), ImageFormat::Png);
        bomb[16..20].copy_from_slice(&60_000u32.to_be_bytes());
        bomb[20..24].copy_from_slice(&60_000u32.to_be_bytes());
        let mut crc = 0xffff_ffff_u32;
        for byte in &bomb[12..29] {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            }
        }
        bomb[29..33].copy_from_slice(&(!crc).to_be_bytes());
        assert_eq!(encode_anew(&bomb), Err(PictureError::Pixels { width: 60_000, height: 60_000 }));
    }

    #[test]
    fn what_is_cut_off_or_of_another_kind_is_refused() {
        for format in [ImageFormat::Png, ImageFormat::WebP] {
            let whole = written(&red(64, 64), format);
            let cut = encode_anew(&whole[..whole.len() / 2]);
            assert!(matches!(cut, Err(PictureError::Broken(_))), "{format:?} {cut:?}");
        }
        for other in [
            &b""[..],
            b"GIF89a\x01\0\x01\0\0\0\0;",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            b"%PDF-1.7",
        ] {
            assert_eq!(encode_anew(other), Err(PictureError::Kind), "{other:?}");
        }
    }

    /// An animated PNG of two frames: what `acTL` and `fcTL` say is put before and behind the first.
    #[test]
    fn of_a_moving_picture_the_first_frame_is_kept() {
        let chunk = |kind: &[u8; 4], data: &[u8]| {
            let mut body = kind.to_vec();
            body.extend(data);
            let mut crc = 0xffff_ffff_u32;
            for byte in &body {
                crc ^= u32::from(*byte);
                for _ in 0..8 {
                    crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
                }
            }
            let mut out = u32::try_from(data.len()).unwrap().to_be_bytes().to_vec();
            out.extend(body);
            out.extend((!crc).to_be_bytes());
            out
        };
        let still = written(&red(4, 4), ImageFormat::Png);
        let frame = |number: u32| {
            let mut data = number.to_be_bytes().to_vec();
            data.extend([0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 10, 0, 0]);
            chunk(b"fcTL", &data)
        };
        let mut moving = still[..33].to_vec();
        moving.extend(chunk(b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0]));
        moving.extend(frame(0));
        moving.extend(&still[33..]);
        let kept = encode_anew(&moving).unwrap();
        assert_eq!((kept.width, kept.height), (4, 4));
        assert!(!kept.bytes.windows(4).any(|w| w == b"acTL"));
    }

    /// An animated WebP of two frames, made of two still ones: VP8X, ANIM, ANMF (RFC 9649, 2.7).
    #[test]
    fn of_a_moving_webp_the_first_frame_is_kept_and_a_gif_is_refused_moving_or_not() {
        let still = |colour: [u8; 3]| {
            let picture = DynamicImage::ImageRgb8(RgbImage::from_pixel(8, 6, Rgb(colour)));
            written(&picture, ImageFormat::WebP)[12..].to_vec()
        };
        let chunk = |kind: &[u8; 4], data: &[u8]| {
            let mut out = kind.to_vec();
            out.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
            out.extend(data);
            out.extend(vec![0; data.len() % 2]);
            out
        };
        let frame = |colour: [u8; 3]| {
            let mut data = vec![0, 0, 0, 0, 0, 0, 7, 0, 0, 5, 0, 0, 100, 0, 0, 0];
            data.extend(still(colour));
            chunk(b"ANMF", &data)
        };
        let mut body = b"WEBP".to_vec();
        body.extend(chunk(b"VP8X", &[0b10, 0, 0, 0, 7, 0, 0, 5, 0, 0]));
        body.extend(chunk(b"ANIM", &[0, 0, 0, 0, 0, 0]));
        body.extend(frame([210, 20, 20]));
        body.extend(frame([20, 20, 210]));
        let moving = chunk(b"RIFF", &body);
        let decoder = image::codecs::webp::WebPDecoder::new(Cursor::new(moving.as_slice())).unwrap();
        assert!(decoder.has_animation(), "what is tried here is a moving picture");
        let kept = encode_anew(&moving).unwrap();
        assert_eq!((kept.width, kept.height, kept.media_type), (8, 6, "image/jpeg"));
        let shown = image::load_from_memory(&kept.bytes).unwrap().to_rgb8();
        let [red, _, blue] = shown.get_pixel(4, 3).0;
        assert!(red > 180 && blue < 60, "the first frame: {red} {blue}");
        assert!(!kept.bytes.windows(4).any(|w| w == b"ANMF"));
        // cut off within its second frame the first is whole; within the first nothing is
        assert!(encode_anew(&moving[..60]).is_err());

        let head = b"GIF89a\x01\0\x01\0\x80\0\0\xff\0\0\0\0\xff";
        let repeats = b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0";
        let frame = b"!\xf9\x04\0\x0a\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0";
        let still = [&head[..], frame, b";"].concat();
        let moving = [&head[..], repeats, frame, frame, b";"].concat();
        for gif in [still, moving] {
            assert_eq!(encode_anew(&gif), Err(PictureError::Kind));
        }
    }
}
