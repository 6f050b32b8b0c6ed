from xml.etree import ElementTree

from kfc.reporting.figures import COLORS, drawing, name_axes
from kfc.reporting.standalone import standalone_svg


def test_a_drawing_becomes_a_file_with_a_size_and_colours_of_its_own():
    with drawing("title", "some points", size=(3, 2)) as (axes, done):
        axes.plot([1, 2], [3, 4], color=COLORS[0])
        name_axes(axes, "x", "y")
    text = standalone_svg(done[0])
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert (root.get("width"), root.get("height")) == ("216", "144")
    assert "#0072b2" in text
    assert "var(" not in text
