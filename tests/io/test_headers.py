"""Headers that are easy to misread: each gives its right value, or a warning that says what not."""

import numpy as np
import pytest
import tifffile

from stm_experiments.io import ScanError, read_scan
from stm_experiments.io.directions import split_direction

# No two pixels are equal, so that any flip, shift or transposition is seen.
P = np.arange(35.0).reshape(5, 7)
Q = 1 + 2 * P[::-1, ::-1] + P % 4
PIXEL = (0.6, 4 / 7)  # nm


def rows(values, separator="\t", comma=False, digits=9):
    text = "\n".join(separator.join(f"{value:.{digits}g}" for value in row) for row in values)
    return (text.replace(".", ",") if comma else text) + "\n"


def points(x0=0.0, y0=0.0, digits=9, up=False):
    y, x = np.mgrid[:5, :7]
    y = 4 - y if up else y
    return rows(np.stack([x0 + x * 4 / 7, y0 + y * 0.6, P], -1).reshape(-1, 3), digits=digits)


LANGUAGES = {
    "German": ("Kanal:", "Breite:", "Höhe:", "Werteinheit:"),
    "French": ("Canal :", "Largeur :", "Hauteur :", "Unités de valeur :"),
    "Italian": ("Canale:", "Larghezza:", "Altezza:", "Unità:"),
    "Czech": ("Kanál:", "Šířka:", "Výška:", "Jednotky hodnot:"),
    "Japanese": ("チャンネル：", "幅：", "高さ：", "値の単位："),  # noqa: RUF001
    "Russian": ("Канал:", "Ширина:", "Высота:", "Единицы:"),
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("comma", [False, True])
def test_gwyddion_in_other_languages(tmp_path, caplog, language, comma):
    channel, width, height, unit = LANGUAGES[language]
    lengths = ("4,0000 nm", "3,0000 nm") if comma else ("4.0000 nm", "3.0000 nm")
    head = f"# {channel} Z\n# {width} {lengths[0]}\n# {height} {lengths[1]}\n# {unit} m\n"
    (tmp_path / "a.txt").write_text(head + rows(1e-9 * (P + 0.5), comma=comma), encoding="utf-8")
    scan = read_scan(tmp_path / "a.txt")
    np.testing.assert_allclose(scan.data, 1e-9 * (P + 0.5))
    assert (scan.unit, scan.pixel_size, scan.channel) == ("m", pytest.approx(PIXEL), "Z")
    assert caplog.text == ""


def test_concatenated_images_are_channels(tmp_path):
    head = "# Channel: {}\n# Width: 4.0 nm\n# Height: 3.0 nm\n# Value units: {}\n"
    text = head.format("Z", "m") + rows(P) + "\n" + head.format("I (Backward)", "A") + rows(Q)
    (tmp_path / "a.txt").write_text(text)
    z, current = read_scan(tmp_path / "a.txt"), read_scan(tmp_path / "a.txt", "I", "backward")
    np.testing.assert_array_equal(z.data, P)
    np.testing.assert_array_equal(current.data, Q)
    assert (z.unit, current.unit) == ("m", "A")
    assert z.pixel_size == current.pixel_size == pytest.approx(PIXEL)
    (tmp_path / "b.txt").write_text(rows(P) + "\n" + rows(Q))  # without headers
    assert read_scan(tmp_path / "b.txt").channels == ("image", "image #2")
    np.testing.assert_array_equal(read_scan(tmp_path / "b.txt", "image #2").data, Q)


@pytest.mark.parametrize(("x0", "y0", "digits"), [(0, 0, 9), (1234.5, 0, 5), (250.2, 977.3, 5)])
def test_points_of_gwyddion_run_down(tmp_path, x0, y0, digits):
    head = "# Kanal: Topo\n# Lateraleinheit: nm\n# Werteinheit: m\n"
    for text in (head, "# Channel: Topo\n# Lateral units: nm\n# Value units: m\n"):
        (tmp_path / "a.xyz").write_text(text + points(x0, y0, digits))
        scan = read_scan(tmp_path / "a.xyz")
        np.testing.assert_array_equal(scan.data, P)
        # The rounding of the first and the last coordinate is left, over all steps.
        assert scan.pixel_size == pytest.approx(PIXEL, rel=1e-9 if digits == 9 else 0.03)
        assert (scan.unit, scan.channel) == ("m", "Topo")


def test_points_without_a_header_begin_at_the_top(tmp_path):
    for up in (False, True):
        (tmp_path / "a.xyz").write_text(points(up=up))
        np.testing.assert_array_equal(read_scan(tmp_path / "a.xyz").data, P)
    (tmp_path / "a.csv").write_text(points().replace("\t", ";").replace(".", ","))
    np.testing.assert_array_equal(read_scan(tmp_path / "a.csv").data, P)  # a table of x; y; z


def test_spip(tmp_path, caplog):
    head = (
        "# File Format = ASCII\r\n# Created by SPIP 6\r\n# x-pixels = 7\r\n# y-pixels = 5\r\n"
        "# x-length = 4\r\n# y-length = 3\r\n# x-offset = 0\r\n"
    )
    start = "# Start of Data:\r\n"
    (tmp_path / "a.asc").write_text(head + "# Bit2nm = 0.5\r\n" + start + rows(P))
    scan = read_scan(tmp_path / "a.asc")
    np.testing.assert_allclose(scan.data, 5e-10 * P)
    assert (scan.unit, scan.pixel_size) == ("m", pytest.approx(PIXEL))
    (tmp_path / "b.asc").write_text(head + "# z-unit = pA\r\n" + start + rows(P.reshape(1, -1)))
    scan = read_scan(tmp_path / "b.asc")
    np.testing.assert_allclose(scan.data, 1e-12 * P)
    assert scan.unit == "A"
    assert caplog.text == ""
    (tmp_path / "c.asc").write_text(head + "# Bit2nm = 0.5\r\n" + start + rows(P[:3]))
    with pytest.raises(ScanError, match="truncated"):
        read_scan(tmp_path / "c.asc")


def test_wsxm_exports(tmp_path):
    matrix = "WSxM file copyright UAM\nWSxM ASCII Matrix file\nX Amplitude: 4 nm\n"
    matrix += "Y Amplitude: 3 nm\nZ Amplitude: 34 pm\n\n"
    (tmp_path / "a.txt").write_text(matrix + rows(P[::-1, ::-1]))
    scan = read_scan(tmp_path / "a.txt")
    np.testing.assert_allclose(scan.data, 1e-12 * P)
    assert (scan.unit, scan.pixel_size) == ("m", pytest.approx(PIXEL))
    titles = "WSxM file copyright UAM\nWSxM ASCII XYZ file\nX[nm]\tY[nm]\tZ[pA]\n\n"
    lines = points(up=True).splitlines()
    (tmp_path / "b.txt").write_text(titles + "\n".join(lines[28:] + lines[:28]))  # any order
    scan = read_scan(tmp_path / "b.txt")
    np.testing.assert_allclose(scan.data, 1e-12 * P)
    assert (scan.unit, scan.pixel_size) == ("A", pytest.approx(PIXEL))


@pytest.mark.parametrize("ending", ["", ";"])
def test_german_csv(tmp_path, ending):
    text = rows(P + 0.5, ";", comma=True)
    (tmp_path / "a.csv").write_text(text.replace("\n", f"{ending}\n"))
    np.testing.assert_array_equal(read_scan(tmp_path / "a.csv").data, P + 0.5)
    (tmp_path / "b.txt").write_text(rows(P + 0.5, "  ", comma=True))
    np.testing.assert_array_equal(read_scan(tmp_path / "b.txt").data, P + 0.5)


def test_a_header_that_is_not_understood_is_said(tmp_path, caplog):
    (tmp_path / "a.txt").write_text("# Instrument 7, gain 3\n" + rows(P))
    np.testing.assert_array_equal(read_scan(tmp_path / "a.txt").data, P)
    assert "states no unit and no size that is understood (# Instrument 7, gain 3)" in caplog.text
    caplog.clear()
    (tmp_path / "a.csv").write_text("a,b,c,d,e,f,g\n" + rows(P, ","))
    np.testing.assert_array_equal(read_scan(tmp_path / "a.csv").data, P)
    assert "a.csv: its header states no unit" in caplog.text
    caplog.clear()
    (tmp_path / "b.txt").write_text(rows(P))
    read_scan(tmp_path / "b.txt")
    assert caplog.text == ""  # it has no header


def test_gwyddion_file_in_latin_1(tmp_path, write):
    path = write.gwy(tmp_path / "a.gwy", {"Z uX": (P, "um", (3e-9, 4e-9))})
    content = path.read_bytes().replace(b"Z uX\0", b"Z \xb5X\0").replace(b"\0um\0", b"\0\xb5m\0")
    path.write_bytes(content)
    scan = read_scan(path)
    np.testing.assert_allclose(scan.data, 1e-6 * P)
    assert (scan.unit, scan.channel) == ("m", "Z µX")


@pytest.mark.parametrize(
    ("title", "channel", "direction"),
    [
        ("Topography_Backward", "Topography", "backward"),
        ("45-1 Z RetraceUp", "45-1 Z", "backward"),
        ("45-1 Z TraceDown", "45-1 Z", "forward/down"),
        ("45-1 Z RetraceDown", "45-1 Z", "backward/down"),
        ("backward Z", "Z", "backward"),
        ("BWD Current", "Current", "backward"),
        ("Z [Left]", "Z", "backward"),
        ("Z rev", "Z", "backward"),
        ("HeightRetrace", "Height", "backward"),
        ("Z (Forward)", "Z", "forward"),
        ("Mask of left island", "Mask of left island", "forward"),
        ("Retrace", "Retrace", "backward"),
        ("LI Demod 1 X", "LI Demod 1 X", "forward"),
        ("", "", "forward"),
    ],
)
def test_words_for_directions(title, channel, direction):
    assert split_direction(title) == (channel, direction)


def test_directions_of_a_gwyddion_file(tmp_path, write):
    fields = {"Topography": (P, "m", None), "Topography_Backward": (Q, "m", None)}
    path = write.gwy(tmp_path / "a.gwy", fields)
    np.testing.assert_array_equal(read_scan(path, direction="backward").data, Q)


def test_constant_height_says_which_channels_hold_data(tmp_path, write):
    images = {
        ("Z", "m"): {"forward": np.full((5, 7), 1e-9)},
        ("Bias", "V"): {"forward": np.full((5, 7), 0.5)},
        ("Current", "A"): {"forward": 1e-12 * P},
    }
    path = write.sxm(tmp_path / "a.sxm", images)
    with pytest.raises(ScanError, match=r"Z is constant.*: choose the channel Current\.$"):
        read_scan(path)
    assert read_scan(path, "Z").data.std() < 1e-20  # by name it is read
    np.testing.assert_allclose(read_scan(path, "Current").data, 1e-12 * P)


def test_calibrations_of_tiffs(tmp_path, caplog):
    single = P.astype(np.float32)
    calibrated = {"unit": "nm", "cf": 0, "c0": 1.0, "c1": 0.5, "vunit": "pA"}
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, single, imagej=True, resolution=(20, 10), metadata=calibrated)
    scan = read_scan(path)
    np.testing.assert_allclose(scan.data, 1e-12 * (1 + 0.5 * P))
    assert (scan.unit, scan.pixel_size) == ("A", pytest.approx((0.1, 0.05)))
    ome = {"axes": "YX", "PhysicalSizeX": 0.05, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 1e-4}
    tifffile.imwrite(tmp_path / "b.tif", single, ome=True, metadata=ome)
    assert read_scan(tmp_path / "b.tif").pixel_size == pytest.approx((0.1, 0.05))
    tags = [(65003, 2, 3, "nm", True), (65004, 2, 3, "nm", True), (65009, 12, 1, 0.05, True)]
    tags += [(65010, 12, 1, 0.1, True), (65022, 2, 3, "nm", True), (65024, 12, 1, 2.0, True)]
    tags += [(65025, 12, 1, 0.5, True)]
    tifffile.imwrite(tmp_path / "c.tif", single, extratags=tags)
    scan = read_scan(tmp_path / "c.tif")
    np.testing.assert_allclose(scan.data, 0.5e-9 * (P - 2))
    assert (scan.unit, scan.pixel_size) == ("m", pytest.approx((0.1, 0.05)))
    assert caplog.text == ""


@pytest.mark.parametrize("thumbnail_first", [False, True])
def test_a_thumbnail_is_no_data(tmp_path, caplog, thumbnail_first):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for is_thumbnail in (thumbnail_first, not thumbnail_first):
            image = P[::2, ::2].astype(np.uint8) if is_thumbnail else P.astype(np.float32)
            file.write(image, subfiletype=int(is_thumbnail))
    np.testing.assert_array_equal(read_scan(tmp_path / "a.tif").data, P)
    assert "a thumbnail in the file was passed over" in caplog.text


def test_less_than_one_row_is_refused(tmp_path, write):
    images = {("Z", "m"): {"forward": 1e-12 * P}}
    with pytest.raises(ScanError, match=r"truncated: of Z \(forward\) less than one row"):
        read_scan(write.sxm(tmp_path / "a.sxm", images, cut=29 * 4))
    assert read_scan(write.sxm(tmp_path / "b.sxm", images, cut=28 * 4)).mask.sum() == 7
