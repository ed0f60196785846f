import no_such_distribution
from levada import step


@step
def anything():
    return no_such_distribution
