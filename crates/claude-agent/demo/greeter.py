def greet(name):
    # TODO: trim the name
    return "Helo, " + name


if __name__ == "__main__":
    print(greet("world"))
