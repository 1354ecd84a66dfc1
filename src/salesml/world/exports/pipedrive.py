"""x"""
from salesml.world.exports.shared import Book


def write(book: Book) -> None:
    """x"""
